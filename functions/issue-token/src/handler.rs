//! A request for a token: checked, signed, and never kept.

use domain::record::rfc3339_text;
use domain::signing::{Claims, TokenRequest};
use domain::store::StoreFault;
use lambda_runtime::{Error, LambdaEvent};
use serde::Serialize;
use serde_json::{Value, json};
use telemetry::{InvocationLine, Unit};
use time::OffsetDateTime;

use crate::context::Context;
use crate::encoding::{base64url, public_key, raw_signature};

/// A token, shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenOut {
    /// The token.
    pub token: String,
    /// When it ends (RFC 3339).
    pub expires_at: String,
}

/// Issues a token.
///
/// # Errors
/// A request that is not one, or a signer or store that fails.
pub async fn handle(context: &Context, event: LambdaEvent<Value>) -> Result<TokenOut, Error> {
    let started = context.system.now();
    if !event.payload.is_object() {
        return Err("bad request for a token: expected an object".into());
    }
    let request: TokenRequest = serde_json::from_value(event.payload).map_err(|error| format!("bad request for a token: {error}"))?;
    let jti = format!("{:016x}{:016x}", context.system.random(), context.system.random());
    let claims = request.claims(&context.issuer, started, jti)?;
    let token = sign(context, &claims).await?;

    let mut line = InvocationLine::new("issue-token");
    line.field("request.id", event.context.request_id.as_str())
        .field("token.id", claims.jti.as_str())
        .field("token.owner", claims.owner.as_str())
        .field("token.scope", claims.scope.as_str())
        .metric("tokens.issued", Unit::Count, 1);
    line.emit(context.system.now());
    let expires_at = OffsetDateTime::from_unix_timestamp(claims.exp)?;
    Ok(TokenOut { token, expires_at: rfc3339_text(expires_at) })
}

/// Publishes the key before anybody holds a token of it.
async fn sign(context: &Context, claims: &Claims) -> Result<String, StoreFault> {
    let key = public_key(&context.signer.public_key_der().await?)?;
    context.keys.publish(&key).await?;
    let header = base64url(json!({"alg": "ES256", "kid": key.kid, "typ": "JWT"}).to_string().as_bytes());
    let body = base64url(json!(claims).to_string().as_bytes());
    let message = format!("{header}.{body}");
    let signature = raw_signature(&context.signer.sign(message.as_bytes()).await?)?;
    Ok(format!("{message}.{}", base64url(&signature)))
}
