//! Dead letters: events that could not go on, kept with their original bytes and the reason.

use serde::{Deserialize, Serialize};

use crate::outcome::RetryReason;
use crate::publish::Deadline;

/// An event that could not go on, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Names the letter.
    pub id: String,
    /// The part of the way where it stopped: `pipeline`.
    pub source: String,
    /// Why it stopped.
    pub reason: Reason,
    /// When it stopped (RFC 3339).
    pub time: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The request or invocation that stopped it.
    pub request_id: String,
    /// What the original bytes are said to be.
    pub content_type: String,
    /// The original bytes.
    pub original_base64: String,
}

/// Why an event stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// Keeps dead letters.
#[async_trait::async_trait]
pub trait DeadLetters: Send + Sync {
    /// Stores all letters on a delivery stream before `deadline`, or says why that is not certain.
    ///
    /// Letters may be stored twice, never lost silently.
    ///
    /// # Errors
    /// Some letter is not known to be stored.
    async fn put(&self, delivery_stream: &str, letters: &[DeadLetter], deadline: Deadline) -> Result<(), RetryReason>;
}
