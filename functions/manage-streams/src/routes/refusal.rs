//! Why a request was not granted, in the two forms that callers know.

use axum::Json;
use axum::response::{IntoResponse, Response};
use domain::config::FixedField;
use domain::lifecycle::Status;
use domain::limits::RETRY_AFTER_STACK;
use domain::provision::ChangeFault;
use domain::store::StoreFault;
use http::StatusCode;
use http_edge::Problem;

use crate::views::LintingErrors;

/// Why a request was not granted.
pub enum Refusal {
    /// Faults of a document, in Bento's shape.
    Document(LintingErrors),
    /// Everything else.
    Problem(Problem),
}

impl Refusal {
    /// A document with these faults.
    pub fn document(faults: Vec<String>) -> Self {
        Self::Document(LintingErrors { linting_errors: faults })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Document(faults) => (StatusCode::BAD_REQUEST, Json(faults)).into_response(),
            Refusal::Problem(problem) => problem.into_response(),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        Self::Problem(fault.into())
    }
}

impl From<ChangeFault> for Refusal {
    fn from(fault: ChangeFault) -> Self {
        let detail = fault.to_string();
        Self::Problem(match fault {
            // The same words whether it is the caller's or somebody else's.
            ChangeFault::Exists(_) | ChangeFault::SinkExists(_) => Problem::conflict(detail),
            ChangeFault::NoSuchSink(_) => Problem::not_found(detail),
            // Names them, so that the caller knows what to disable first.
            ChangeFault::HasSinks(_) => Problem::conflict(detail),
            // A failed stream does not mend by itself.
            ChangeFault::NotActive(Status::OperationFailed) | ChangeFault::Stuck(_) => Problem::conflict(detail),
            // Waiting helps.
            ChangeFault::Busy { .. } | ChangeFault::NotActive(_) => Problem::conflict(detail).with_retry_after(RETRY_AFTER_STACK),
            // Says what the document should have said.
            ChangeFault::Fixed(FixedField::ByStream(fault)) => return Self::document(vec![fault]),
            // Says what to change instead.
            ChangeFault::SharedOutput(_) => Problem::conflict(detail),
            // Another version can have one.
            ChangeFault::NoPipeline => Problem::conflict(detail),
            // A failed sink does not mend by itself.
            ChangeFault::SinkFailed(_) => Problem::conflict(detail),
            // Says what to do first.
            ChangeFault::Fixed(FixedField::BySink { .. }) => Problem::conflict(detail),
            // CloudFormation's words are all that can help.
            ChangeFault::UpdateRefused(_) => Problem::conflict(detail),
            // Reading again and deciding anew helps.
            ChangeFault::Conflict => Problem::conflict(detail),
            ChangeFault::Store(fault) => fault.into(),
        })
    }
}
