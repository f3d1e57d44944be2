//! Switches in the query string: `true`, `false`, or not there.

use axum::extract::FromRequestParts;
use domain::declaration::Leniency;
use http::request::Parts;
use http_edge::Problem;
use http_edge::query::parameters;

/// `?chilled=true`: lint errors pass, except for those that make the stream impossible.
#[derive(Debug)]
pub struct Chilled(pub Leniency);

/// `?defaults=true`: a config is shown with every default filled in.
#[derive(Debug)]
pub struct WithDefaults(pub bool);

/// `?dry_run=true`: says what would be done, and does nothing.
#[derive(Debug)]
pub struct DryRun(pub bool);

/// `?confirm=delete-all`.
#[derive(Debug)]
pub struct ConfirmDeleteAll(pub bool);

impl<S: Send + Sync> FromRequestParts<S> for DryRun {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        is_on(parts, "dry_run").map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ConfirmDeleteAll {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let parameters = parameters(parts.uri.query().unwrap_or_default());
        Ok(Self(parameters.iter().any(|(name, value)| name == "confirm" && value == "delete-all")))
    }
}

/// `?cascade=true`: what hangs on a stream goes with it.
#[derive(Debug)]
pub struct Cascade(pub bool);

impl<S: Send + Sync> FromRequestParts<S> for Cascade {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        is_on(parts, "cascade").map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Chilled {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let is_chilled = is_on(parts, "chilled")?;
        Ok(Self(if is_chilled { Leniency::Chilled } else { Leniency::Strict }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WithDefaults {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        is_on(parts, "defaults").map(Self)
    }
}

fn is_on(parts: &Parts, name: &str) -> Result<bool, Problem> {
    let parameters = parameters(parts.uri.query().unwrap_or_default());
    let mut named = parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    match (named.next(), named.next()) {
        (None | Some("false"), None) => Ok(false),
        (Some("true"), None) => Ok(true),
        _ => {
            let detail = format!("{name}: expected true or false, once");
            Err(Problem::bad_request(detail.clone()).with_error(format!("/{name}"), detail))
        }
    }
}
