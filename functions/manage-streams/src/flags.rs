//! Switches in the query string: `true`, `false`, or not there.

use axum::extract::FromRequestParts;
use domain::declaration::Leniency;
use http::request::Parts;
use http_edge::Problem;
use http_edge::query::{parameters, switch};

/// An extractor of one switch.
macro_rules! switch {
    ($(#[$doc:meta])* $name:ident, $parameter:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(pub bool);

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                is_on(parts, $parameter).map(Self)
            }
        }
    };
}

switch!(
    /// `?defaults=true`: a config is shown with every default filled in.
    WithDefaults,
    "defaults"
);

switch!(
    /// `?dry_run=true`: says what would be done, and does nothing.
    DryRun,
    "dry_run"
);

switch!(
    /// `?cascade=true`: what hangs on a stream goes with it.
    Cascade,
    "cascade"
);

/// `?chilled=true`: lint errors pass, except for those that make the stream impossible.
#[derive(Debug)]
pub struct Chilled(pub Leniency);

impl<S: Send + Sync> FromRequestParts<S> for Chilled {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let is_chilled = is_on(parts, "chilled")?;
        Ok(Self(if is_chilled { Leniency::Chilled } else { Leniency::Strict }))
    }
}

/// `?confirm=delete-all`.
#[derive(Debug)]
pub struct ConfirmDeleteAll(pub bool);

impl<S: Send + Sync> FromRequestParts<S> for ConfirmDeleteAll {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let parameters = parameters(parts.uri.query().unwrap_or_default());
        Ok(Self(parameters.iter().any(|(name, value)| name == "confirm" && value == "delete-all")))
    }
}

fn is_on(parts: &Parts, name: &str) -> Result<bool, Problem> {
    switch(parts.uri.query().unwrap_or_default(), name)
}
