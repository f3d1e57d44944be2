//! Reading dead letters.

use axum::Json;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::response::{IntoResponse, Response};
use domain::dead_letter::LetterId;
use domain::ids::StreamKey;
use domain::letters::{LetterEffort, LetterFault, LettersQuery, LettersReader};
use domain::names::dead_letters_prefix;
use domain::publish::Deadline;
use domain::record::rfc3339_text;
use http::StatusCode;
use http_edge::query::parameters;
use http_edge::{AuthorizedStream, InvocationDeadline, Measures, Problem, ProblemBody};
use telemetry::Unit;

use crate::context::Context;
use crate::letter_views::{LetterOut, LettersOut};
use crate::routes::parameter_problem;

/// Returns dead letters: events that could not go on, with their original bytes and the reason.
///
/// They come hour by hour as they were stored, and are there about a minute after they stopped. A page can end early, even empty, when it
/// has taken its time or fills an answer; `next_cursor` says where to go on.
#[utoipa::path(
    get,
    path = "/streams/{id}/{version}/dead-letters",
    tag = "dead letters",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("from" = Option<String>, Query, description = "The first day (`2018-02-01`, in UTC) or moment (RFC 3339) at which an event stopped"),
        ("to" = Option<String>, Query, description = "The last day, or the first moment behind the range"),
        ("reason" = Option<String>, Query, description = "The code of the reason"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before, with the same other parameters"),
        ("page_size" = Option<u32>, Query, description = "Letters on a page; 100 by default", minimum = 1, maximum = 1_000),
    ),
    responses(
        (status = 200, description = "A page, empty when there are none", body = LettersOut),
        (status = 400, description = "Parameters are wrong, each named", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "The token lacks the scope `read`", body = ProblemBody),
        (status = 404, description = "No such stream", body = ProblemBody),
        (status = 503, description = "The letters cannot be read just now", body = ProblemBody),
    ),
    security(("token" = ["read"])),
)]
pub(super) async fn list_letters(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    InvocationDeadline(deadline): InvocationDeadline,
    RawQuery(raw_query): RawQuery,
) -> Result<Response, Problem> {
    let asked = parameters(raw_query.as_deref().unwrap_or_default());
    let query = LettersQuery::parse(&asked, &dead_letters_prefix(&record.key)).map_err(parameter_problem)?;
    let page = reader(&context, deadline).page(&record, &query).await?;
    let (effort, count) = (page.effort, page.values.len());
    warn_of_skipped_lines(&effort, &record.key);
    let mut response = Json(LettersOut::from(page)).into_response();
    response.extensions_mut().insert(Measures {
        metrics: vec![
            ("letters.objects", Unit::Count, effort.objects),
            ("letters.values", Unit::Count, count),
            ("letters.skipped_lines", Unit::Count, effort.skipped_lines),
        ],
        fields: stream_fields(&record.key),
    });
    Ok(response)
}

/// Returns one dead letter.
///
/// It is looked for among everything that was stored since its event arrived. When that is too much for the time of one request, the
/// answer is 503 without `Retry-After`; a list from that time on, page by page, finds it too.
#[utoipa::path(
    get,
    path = "/streams/{id}/{version}/dead-letters/{letter_id}",
    tag = "dead letters",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("letter_id", description = "The letter's id"),
    ),
    responses(
        (status = 200, description = "The letter", body = LetterOut),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "The token lacks the scope `read`", body = ProblemBody),
        (status = 404, description = "No such stream, or no such letter (yet)", body = ProblemBody),
        (status = 503, description = "The letters cannot be read just now, or not all in the time of one request", body = ProblemBody),
    ),
    security(("token" = ["read"])),
)]
pub(super) async fn get_letter(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    InvocationDeadline(deadline): InvocationDeadline,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let id = path.iter().find(|(name, _)| *name == "letter_id").and_then(|(_, id)| id.parse::<LetterId>().ok());
    // A name that no letter can have is answered like one that none has.
    let id = id.ok_or_else(|| Problem::not_found(LetterFault::Missing.to_string()))?;
    let letter = reader(&context, deadline).find(&record, &id).await.map_err(|fault| letter_problem(fault, &id))?;
    let mut response = Json(LetterOut::from(letter)).into_response();
    response.extensions_mut().insert(Measures { metrics: Vec::new(), fields: stream_fields(&record.key) });
    Ok(response)
}

fn reader(context: &Context, deadline: Deadline) -> LettersReader<'_> {
    LettersReader {
        objects: context.objects.as_ref(),
        marks: context.marks.as_ref(),
        system: context.system.as_ref(),
        deadline,
        limits: context.letter_limits,
    }
}

fn letter_problem(fault: LetterFault, id: &LetterId) -> Problem {
    let detail = fault.to_string();
    match fault {
        LetterFault::Missing => Problem::not_found(detail),
        // It may be there. A second try is seldom quicker: no time to wait is named, but what is sure to get there.
        LetterFault::OutOfTime => {
            let detail = format!("{detail}; list the dead letters from {} on", rfc3339_text(id.arrived_at()));
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
        // Says nothing of the letter: it may be asked for again.
        LetterFault::Store(fault) => fault.into(),
    }
}

pub(super) fn warn_of_skipped_lines(effort: &LetterEffort, key: &StreamKey) {
    if effort.skipped_lines > 0 {
        let (id, version, skipped) = (key.id.as_str(), key.version.as_str(), effort.skipped_lines);
        tracing::warn!(stream.id = id, stream.version = version, letters.skipped_lines = skipped, "stored lines are no dead letters");
    }
}

pub(super) fn stream_fields(key: &StreamKey) -> Vec<(&'static str, String)> {
    vec![("stream.id", key.id.to_string()), ("stream.version", key.version.to_string())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    #[test]
    fn a_letter_that_is_not_found_in_time_may_be_there() {
        let id = "dl-1767225597000-4959".parse().unwrap();
        let problem = letter_problem(LetterFault::OutOfTime, &id);
        assert_eq!(problem.status(), 503);
        let response = problem.into_response();
        let problem = response.extensions().get::<Problem>().unwrap();
        let shown = format!("{problem:?}");
        assert!(shown.contains("list the dead letters from 2025-12-31T23:59:57Z on") && !shown.contains("retry-after"), "{shown}");
    }
}
