//! The owner that a request is for.

use axum::extract::FromRequestParts;
use domain::access::{Caller, ForeignOwner};
use domain::ids::Owner;
use http::StatusCode;
use http::request::Parts;

use crate::problem::Problem;
use crate::query::parameters;

/// The token's own owner, or the one that an admin names with `?owner=`.
#[derive(Debug)]
pub struct ActingOwner(pub Owner);

impl<S: Send + Sync> FromRequestParts<S> for ActingOwner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().ok_or_else(|| Problem::unauthorized("route without authentication"))?;
        let parameters = parameters(parts.uri.query().unwrap_or_default());
        let mut named = parameters.iter().filter(|(name, _)| name == "owner").map(|(_, value)| value);
        let owner = match (named.next(), named.next()) {
            (None, _) => None,
            (Some(text), None) => {
                let parsed = text.parse::<Owner>();
                Some(parsed.map_err(|error| Problem::bad_request(error.to_string()).with_error("/owner", error.to_string()))?)
            }
            (Some(_), Some(_)) => return Err(Problem::bad_request("owner: expected it once").with_error("/owner", "expected it once")),
        };
        Ok(Self(caller.acting_for(owner)?))
    }
}

impl From<ForeignOwner> for Problem {
    fn from(refused: ForeignOwner) -> Self {
        Problem::new(StatusCode::FORBIDDEN, refused.to_string())
    }
}
