//! Readiness: is everything that should work connected?

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use domain::access::Caller;
use domain::lifecycle::Status;
use domain::record::StreamRecord;
use domain::store::{FaultyStreams, StoreFault};
use domain::system::System;
use http::StatusCode;
use http_edge::{Problem, ProblemBody};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;

use crate::context::Context;

/// How long an answer stands: the route is open to everybody, and must not let everybody ask the table.
const KEEP_FOR: time::Duration = time::Duration::seconds(5);

/// Knows which streams have failed, as of a moment ago.
pub struct Readiness {
    faulty: Arc<dyn FaultyStreams>,
    system: Arc<dyn System>,
    last: Mutex<Option<(OffsetDateTime, Arc<Vec<StreamRecord>>)>>,
}

impl Readiness {
    /// Asks `faulty` at most once in five seconds.
    pub fn new(faulty: Arc<dyn FaultyStreams>, system: Arc<dyn System>) -> Self {
        Self { faulty, system, last: Mutex::new(None) }
    }

    async fn faulty(&self) -> Result<Arc<Vec<StreamRecord>>, StoreFault> {
        let now = self.system.now();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, records)) = last.filter(|(at, _)| now - *at < KEEP_FOR) {
            return Ok(records);
        }
        let records = Arc::new(self.faulty.faulty().await?);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, records.clone()));
        Ok(records)
    }
}

/// Everything works.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReadyOut {
    /// Always `ready`.
    status: &'static str,
}

/// Says whether every stream and sink works. Names the ones that do not to a caller with a token.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "operations",
    responses(
        (status = 200, description = "All that should work does", body = ReadyOut),
        (status = 503, description = "Something has failed; with a token, `faulty` names the caller's", body = ProblemBody),
    ),
    security((), ("token" = [])),
)]
pub async fn get_ready(State(context): State<Context>, caller: Option<Extension<Caller>>) -> Result<Response, Problem> {
    let faulty = context.readiness.faulty().await?;
    if faulty.is_empty() {
        return Ok(Json(ReadyOut { status: "ready" }).into_response());
    }
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "a stream or sink has failed");
    let Some(Extension(caller)) = caller else { return Err(problem) };
    let visible = faulty.iter().filter(|record| caller.reach().covers(&record.owner) && caller.may_touch(&record.key.id));
    let named: Vec<_> = visible
        .flat_map(|record| record.parts().map(move |(part, stack)| (record, part, stack)))
        .filter(|(_, _, stack)| stack.status == Status::OperationFailed)
        .map(|(record, part, stack)| json!({"id": record.key.id, "version": record.key.version, "part": part.to_string(), "reason": stack.reason}))
        .collect();
    Err(problem.with_member("faulty", json!(named)))
}
