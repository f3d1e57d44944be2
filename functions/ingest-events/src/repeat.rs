//! Requests that are sent again under one `Idempotency-Key`: the first answer is given once more, and nothing is put twice.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::response::Response;
use domain::idempotency::{ANSWER_KEPT_FOR, Claim, Claimed, Fingerprint, IdempotencyKey, IdempotencyKeys, KeptAnswer};
use domain::limits::{IDEMPOTENCY_CLAIM_TIME, KEYS_TIME, RETRY_AFTER};
use domain::publish::Deadline;
use domain::system::{System, within};
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_edge::Problem;

/// Tells a client that it reads an answer that was given before.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A request's hold on its key.
pub struct Hold<'h> {
    keys: &'h dyn IdempotencyKeys,
    system: &'h dyn System,
    deadline: Deadline,
    key: IdempotencyKey,
    claim: Claim,
}

/// What a request with a key may do.
pub enum Turn<'h> {
    /// Go on, and settle what it holds with its answer.
    First(Hold<'h>),
    /// Give the first answer again.
    Again(Response),
}

/// Claims a key.
///
/// # Errors
/// 409 while another request holds it, 422 when it was used for another body, 503 when nobody knows.
pub async fn claim<'h>(
    keys: &'h dyn IdempotencyKeys,
    system: &'h dyn System,
    deadline: Deadline,
    (key, fingerprint): (IdempotencyKey, &Fingerprint),
) -> Result<Turn<'h>, Problem> {
    let now = system.now();
    let token = format!("{:016x}{:016x}", system.random(), system.random());
    let claim = Claim { token, until: now + IDEMPOTENCY_CLAIM_TIME };
    match keys.claim(&key, fingerprint, &claim, now).await? {
        Claimed::Mine => Ok(Turn::First(Hold { keys, system, deadline, key, claim })),
        Claimed::Answered(answer) => again(answer).map(Turn::Again),
        Claimed::InFlight => {
            let problem = Problem::conflict("a request with this Idempotency-Key is still being worked on");
            Err(problem.with_retry_after(RETRY_AFTER))
        }
        Claimed::OtherBody => {
            let detail = "this Idempotency-Key was used for another request; expected the same body, or a new key";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
    }
}

impl Hold<'_> {
    /// Keeps an answer, which is given again to whoever comes with the same key.
    pub async fn keep(self, response: Response) -> Result<Response, Problem> {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.map_err(|error| Problem::internal(format!("could not read an answer: {error}")))?;
        let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let answer = KeptAnswer {
            status: parts.status.as_u16(),
            content_type: text(header::CONTENT_TYPE).unwrap_or_default().to_owned(),
            retry_after: text(header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok()),
            body: body.to_vec(),
        };
        let until = self.system.now() + ANSWER_KEPT_FOR;
        // The events are where the answer says. Sent again after the claim has run out, they are put twice.
        match within(self.system, self.time(), self.keys.keep(&self.key, &self.claim, &answer, until)).await {
            Some(Ok(())) => {}
            Some(Err(fault)) => tracing::warn!(error = fault.chain(), "could not keep an answer"),
            None => tracing::warn!("could not keep an answer in time"),
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    /// Gives the key back: nothing came of the request, so the same may be tried again.
    pub async fn release(self) {
        match within(self.system, self.time(), self.keys.release(&self.key, &self.claim)).await {
            Some(Ok(())) => {}
            Some(Err(fault)) => tracing::warn!(error = fault.chain(), "could not give an idempotency key back"),
            None => tracing::warn!("could not give an idempotency key back in time"),
        }
    }

    /// What is left for the table: the client must be answered whatever it does.
    fn time(&self) -> Duration {
        self.deadline.left(self.system.now()) + KEYS_TIME
    }
}

fn again(answer: KeptAnswer) -> Result<Response, Problem> {
    let mut response = Response::new(Body::from(Bytes::from(answer.body)));
    let unreadable = |what: &str| Problem::internal(format!("a kept answer has no readable {what}"));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(|_| unreadable("status"))?;
    let content_type = HeaderValue::from_str(&answer.content_type).map_err(|_| unreadable("content type"))?;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    if let Some(seconds) = answer.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}
