//! CloudFormation's own words for how a stack is.

use std::str::FromStr;

/// The statuses of a CloudFormation stack that our operations can lead to
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are CloudFormation's")]
pub enum StackStatus {
    CreateInProgress,
    CreateComplete,
    CreateFailed,
    RollbackInProgress,
    RollbackComplete,
    RollbackFailed,
    UpdateInProgress,
    UpdateCompleteCleanupInProgress,
    UpdateComplete,
    UpdateFailed,
    UpdateRollbackInProgress,
    UpdateRollbackCompleteCleanupInProgress,
    UpdateRollbackComplete,
    UpdateRollbackFailed,
    DeleteInProgress,
    DeleteComplete,
    DeleteFailed,
}

impl StackStatus {
    /// Returns whether the stack was created whole and may be updated now.
    pub fn takes_updates(self) -> bool {
        matches!(self, Self::CreateComplete | Self::UpdateComplete | Self::UpdateRollbackComplete)
    }

    /// Returns whether CloudFormation is at work on the stack.
    pub fn is_in_progress(self) -> bool {
        matches!(
            self,
            Self::CreateInProgress
                | Self::RollbackInProgress
                | Self::UpdateInProgress
                | Self::UpdateCompleteCleanupInProgress
                | Self::UpdateRollbackInProgress
                | Self::UpdateRollbackCompleteCleanupInProgress
                | Self::DeleteInProgress
        )
    }

    /// Returns whether the stack is being deleted, or was, or could not be.
    pub fn is_deletion(self) -> bool {
        matches!(self, Self::DeleteInProgress | Self::DeleteComplete | Self::DeleteFailed)
    }

    /// Returns whether the stack is being updated, or was, or could not be: it was created whole before.
    pub fn is_update(self) -> bool {
        matches!(
            self,
            Self::UpdateInProgress
                | Self::UpdateCompleteCleanupInProgress
                | Self::UpdateComplete
                | Self::UpdateFailed
                | Self::UpdateRollbackInProgress
                | Self::UpdateRollbackCompleteCleanupInProgress
                | Self::UpdateRollbackComplete
                | Self::UpdateRollbackFailed
        )
    }
}

impl FromStr for StackStatus {
    type Err = UnknownStackStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStackStatus> {
        Ok(match text {
            "CREATE_IN_PROGRESS" | "REVIEW_IN_PROGRESS" => Self::CreateInProgress,
            "CREATE_COMPLETE" => Self::CreateComplete,
            "CREATE_FAILED" => Self::CreateFailed,
            "ROLLBACK_IN_PROGRESS" => Self::RollbackInProgress,
            "ROLLBACK_COMPLETE" => Self::RollbackComplete,
            "ROLLBACK_FAILED" => Self::RollbackFailed,
            "UPDATE_IN_PROGRESS" => Self::UpdateInProgress,
            "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => Self::UpdateCompleteCleanupInProgress,
            "UPDATE_COMPLETE" => Self::UpdateComplete,
            "UPDATE_FAILED" => Self::UpdateFailed,
            "UPDATE_ROLLBACK_IN_PROGRESS" => Self::UpdateRollbackInProgress,
            "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => Self::UpdateRollbackCompleteCleanupInProgress,
            "UPDATE_ROLLBACK_COMPLETE" => Self::UpdateRollbackComplete,
            "UPDATE_ROLLBACK_FAILED" => Self::UpdateRollbackFailed,
            "DELETE_IN_PROGRESS" => Self::DeleteInProgress,
            "DELETE_COMPLETE" => Self::DeleteComplete,
            "DELETE_FAILED" => Self::DeleteFailed,
            other => return Err(UnknownStackStatus(other.to_owned())),
        })
    }
}

/// A stack status that none of our operations leads to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown stack status {0:?}")]
pub struct UnknownStackStatus(pub String);
