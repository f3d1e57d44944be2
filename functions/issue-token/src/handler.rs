//! A request for a token: checked, signed, and never kept.

use domain::access::Scope;
use domain::ids::Owner;
use domain::token::{Grant, IssuedToken, TokenDays};
use lambda_runtime::{Error, LambdaEvent};
use serde::Deserialize;
use serde_json::Value;
use telemetry::{InvocationLine, Unit};

use crate::context::Context;

/// A request for a token, by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// The tenant that the token speaks for.
    owner: Owner,
    /// Who it is for; stands in `updated_by`.
    #[serde(default = "default_subject")]
    subject: String,
    /// What it allows.
    #[serde(default = "default_scopes")]
    scopes: Vec<Scope>,
    /// How long it is valid: 1 to 365 days.
    #[serde(default = "default_days")]
    expires_in_days: i64,
}

fn default_subject() -> String {
    "operator".to_owned()
}

fn default_scopes() -> Vec<Scope> {
    vec![Scope::Admin]
}

fn default_days() -> i64 {
    30
}

impl TokenRequest {
    fn grant(self) -> Result<(Grant, TokenDays), String> {
        let Self { owner, subject, scopes, expires_in_days } = self;
        let days = TokenDays::try_from(expires_in_days).map_err(|error| format!("expires_in_days: {error}"))?;
        if scopes.is_empty() {
            return Err("scopes: expected at least one".to_owned());
        }
        if !(1..=100).contains(&subject.chars().count()) {
            return Err("subject: expected 1 to 100 characters".to_owned());
        }
        Ok((Grant { owner, subject, scopes, streams: None, key: None }, days))
    }
}

/// Issues a token.
///
/// # Errors
/// A request that is not one, or a signer or store that fails.
pub async fn handle(context: &Context, event: LambdaEvent<Value>) -> Result<IssuedToken, Error> {
    if !event.payload.is_object() {
        return Err("bad request for a token: expected an object".into());
    }
    let request: TokenRequest = serde_json::from_value(event.payload).map_err(|error| format!("bad request for a token: {error}"))?;
    let (grant, days) = request.grant()?;
    let issued = context.tokens.issue(&grant, days).await?;

    let scopes: Vec<&str> = grant.scopes.iter().map(|scope| scope.as_str()).collect();
    let mut line = InvocationLine::new("issue-token");
    line.field("request.id", event.context.request_id.as_str())
        .field("token.id", issued.id.as_str())
        .field("token.owner", grant.owner.as_str())
        .field("token.scope", scopes.join(" "))
        .metric("tokens.issued", Unit::Count, 1);
    line.emit(context.tokens.system.now());
    Ok(issued)
}
