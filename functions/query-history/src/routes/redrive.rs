//! Putting dead letters back on the raw stream.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use domain::ids::StreamKey;
use domain::letters::{RedriveFields, RedriveOutcome, RedriveRequest, Redriver};
use domain::lifecycle::Status;
use domain::limits::RETRY_AFTER_STACK;
use domain::names::dead_letters_prefix;
use domain::record::StreamRecord;
use domain::store::StoreFault;
use http::StatusCode;
use http_edge::problem::pointer;
use http_edge::query::{parameters, switch};
use http_edge::{AuthorizedStream, DocumentBody, Fields, InvocationDeadline, Measures, Problem, ProblemBody};
use serde::Serialize;
use telemetry::Unit;

use crate::context::Context;
use crate::letter_views::RedriveOut;
use crate::routes::dead_letters::{stream_fields, warn_of_skipped_lines};

/// The one parameter.
const DRY_RUN: &str = "dry_run";

/// Characters of a name that are echoed, so that an error never outgrows its cause.
const MAX_ECHO: usize = 100;

/// Which letters are put back: either `ids`, or at least one of `from`, `to` and `reason`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RedriveIn {
    /// The letters by their ids.
    #[schema(min_items = 1, max_items = 1_000)]
    ids: Option<Vec<String>>,
    /// The first day (`2018-02-01`, in UTC) or moment (RFC 3339) at which an event stopped.
    from: Option<String>,
    /// The last day, or the first moment behind the range.
    to: Option<String>,
    /// The code of the reason.
    reason: Option<String>,
    /// Whether letters that were put back before are put back again.
    #[schema(default = false)]
    force: Option<bool>,
    /// The `next_cursor` of the answer before, to go on with the same letters.
    cursor: Option<String>,
}

/// Puts dead letters back on the stream, each once: the original bytes, under the original partition key.
///
/// They go through the pipeline as it is now. A letter that was put back before is skipped, unless `force` says otherwise. At most 10,000
/// letters, and no more than fit the time of one request, are taken at once; `next_cursor` says where to go on. A letter is put back at least
/// once: when a request breaks off between the put and its mark, or Kinesis does not answer in time, it can be there twice.
#[utoipa::path(
    post,
    path = "/streams/{id}/{version}/dead-letters/redrive",
    tag = "dead letters",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("dry_run" = Option<bool>, Query, description = "Counts and puts nothing back"),
    ),
    request_body(content = RedriveIn),
    responses(
        (status = 200, description = "What became of the letters; look at `failed`", body = RedriveOut),
        (status = 400, description = "Fields or parameters are unknown or unusable, each named, or nothing is selected", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "The token lacks the scope `manage`", body = ProblemBody),
        (status = 404, description = "No such stream", body = ProblemBody),
        (status = 409, description = "The stream has no raw stream, or does not work; says which", body = ProblemBody),
        (status = 413, description = "The body is too large", body = ProblemBody),
        (status = 415, description = "The body is encoded", body = ProblemBody),
        (status = 503, description = "The stream is still being created, or the letters cannot be read just now; none was put back", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub(super) async fn redrive_letters(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    InvocationDeadline(deadline): InvocationDeadline,
    RawQuery(raw_query): RawQuery,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Problem> {
    let is_dry_run = read_dry_run(raw_query.as_deref().unwrap_or_default())?;
    let request = read_request(&body, &record.key)?;
    let raw_stream = working_raw_stream(&record)?;
    let rules = rules::event_rules::compile(&record.document.input).map_err(StoreFault::new)?;
    let redriver = Redriver {
        objects: context.objects.as_ref(),
        marks: context.marks.as_ref(),
        raw: context.raw_streams.as_ref(),
        rules: rules.as_deref(),
        system: context.system.as_ref(),
        deadline,
        limits: context.letter_limits,
        is_dry_run,
    };
    let outcome = redriver.redrive(&record, raw_stream, &request).await?;
    Ok(respond(&outcome, &record.key, is_dry_run))
}

/// Reads the one parameter. Another one may be meant to be it, and then nothing must be put back.
fn read_dry_run(raw_query: &str) -> Result<bool, Problem> {
    let named = parameters(raw_query);
    let unknown: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).filter(|name| *name != DRY_RUN).collect();
    if unknown.is_empty() {
        return switch(raw_query, DRY_RUN);
    }
    let mut problem = Problem::bad_request("the query parameters are not valid");
    for name in unknown {
        let echoed: String = name.chars().take(MAX_ECHO).collect();
        problem = problem.with_error(pointer(&echoed), format!("expected no parameter but {DRY_RUN}"));
    }
    Err(problem)
}

fn read_request(body: &str, key: &StreamKey) -> Result<RedriveRequest, Problem> {
    let mut fields = Fields::parse(body)?;
    let asked = RedriveFields {
        ids: fields.optional("ids"),
        from: fields.optional("from"),
        to: fields.optional("to"),
        reason: fields.optional("reason"),
        force: fields.optional("force").unwrap_or(false),
        cursor: fields.optional("cursor"),
    };
    let request = RedriveRequest::read(&asked, &dead_letters_prefix(key));
    for fault in request.as_ref().err().into_iter().flatten() {
        match fault.parameter.as_str() {
            // What cannot be read may have selected something.
            "" if fields.has_faults() => {}
            "" => fields.fault_at(String::new(), &fault.detail),
            path => fields.fault_at(format!("/{path}"), &fault.detail),
        }
    }
    fields.finish(request.ok())
}

/// Where letters go, when events pass there.
fn working_raw_stream(record: &StreamRecord) -> Result<&str, Problem> {
    match record.stack.status {
        Status::Active | Status::UpdateInProgress => {
            let raw_stream = record.resources.raw_stream.as_deref();
            raw_stream.ok_or_else(|| Problem::conflict("the stream has no raw stream that dead letters could be put back on"))
        }
        // Passes by itself.
        Status::CreateInProgress => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the stream is still being created");
            Err(problem.with_retry_after(RETRY_AFTER_STACK))
        }
        status @ (Status::DeleteInProgress | Status::Inactive | Status::OperationFailed) => {
            Err(Problem::conflict(format!("the stream is {} and takes no events", status.as_str())))
        }
    }
}

fn respond(outcome: &RedriveOutcome, key: &StreamKey, is_dry_run: bool) -> Response {
    warn_of_skipped_lines(&outcome.effort, key);
    if let Some(fault) = &outcome.fault {
        let (id, version, error) = (key.id.as_str(), key.version.as_str(), fault.chain());
        tracing::warn!(stream.id = id, stream.version = version, error, "not all dead letters could be put back and marked");
    }
    let mut response = Json(RedriveOut::new(outcome, is_dry_run)).into_response();
    let mut named = stream_fields(key);
    named.push(("letters.dry_run", is_dry_run.to_string()));
    response.extensions_mut().insert(Measures {
        metrics: vec![
            ("letters.objects", Unit::Count, outcome.effort.objects),
            ("letters.redriven", Unit::Count, if is_dry_run { 0 } else { outcome.redriven }),
            ("letters.skipped", Unit::Count, outcome.skipped),
            ("letters.failed", Unit::Count, outcome.failed),
            ("letters.unmarked", Unit::Count, outcome.unmarked),
            ("letters.skipped_lines", Unit::Count, outcome.effort.skipped_lines),
        ],
        fields: named,
    });
    response
}
