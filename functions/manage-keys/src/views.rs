//! What callers send and see. Records never leave as they are.

use std::time::Duration;

use domain::access::Scope;
use domain::api_key::{ApiKey, DEFAULT_GRACE, MAX_GRACE};
use domain::ids::{Owner, StreamPattern};
use domain::record::rfc3339_text;
use domain::signing::{PublicKey, VerificationKey};
use domain::token::TokenDays;
use http_edge::{Fields, Problem};
use serde::Serialize;

/// Characters of a key's name.
const MAX_NAME: usize = 100;

/// Patterns that one key can have.
const MAX_PATTERNS: usize = 50;

/// An API key to be made.
#[derive(Debug, utoipa::ToSchema)]
pub struct ApiKeyIn {
    /// For people; 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What its tokens allow: some of `manage`, `ingest`, `read`.
    #[schema(value_type = Vec<String>, min_items = 1, example = json!(["ingest"]))]
    pub scopes: Vec<Scope>,
    /// The streams that its tokens are limited to, if they are: patterns in which `*` matches any text within the whole id; at most 50.
    #[schema(value_type = Option<Vec<String>>, max_items = 50, example = json!(["refuse-*"]))]
    pub streams: Option<Vec<StreamPattern>>,
    /// For whom; only an admin may name another owner than its own.
    #[schema(value_type = Option<String>)]
    pub owner: Option<Owner>,
}

impl ApiKeyIn {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 with everything that is wrong with it.
    pub fn parse(body: &str) -> Result<Self, Problem> {
        let mut fields = Fields::parse(body)?;
        let name: Option<String> = fields.required("name");
        if name.as_ref().is_some_and(|name| !(1..=MAX_NAME).contains(&name.chars().count())) {
            fields.fault("name", &format!("expected 1 to {MAX_NAME} characters"));
        }
        let scopes: Option<Vec<Scope>> = fields.required("scopes");
        let is_grantable = |scopes: &Vec<Scope>| !scopes.is_empty() && !scopes.contains(&Scope::Admin);
        if scopes.as_ref().is_some_and(|scopes| !is_grantable(scopes)) {
            fields.fault("scopes", "expected some of manage, ingest, read");
        }
        let streams: Option<Vec<StreamPattern>> = fields.optional("streams");
        if streams.as_ref().is_some_and(|streams| !(1..=MAX_PATTERNS).contains(&streams.len())) {
            fields.fault("streams", &format!("expected 1 to {MAX_PATTERNS} patterns"));
        }
        let owner = fields.optional("owner");
        fields.finish(name.zip(scopes).map(|(name, mut scopes)| {
            scopes.sort_unstable();
            scopes.dedup();
            Self { name, scopes, streams, owner }
        }))
    }
}

/// An API key. There is no secret in it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ApiKeyOut {
    id: String,
    owner: String,
    name: String,
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    streams: Option<Vec<StreamPattern>>,
    created_at: String,
    created_by: String,
    updated_at: String,
    updated_by: String,
    /// When the last tokens of before a rotation end; left out when none is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_tokens_valid_until: Option<String>,
}

impl ApiKeyOut {
    /// The key as it is kept.
    pub fn new(key: &ApiKey, now: time::OffsetDateTime) -> Self {
        // Every field by name: a new one must be shown or left out on purpose.
        let ApiKey {
            id,
            owner,
            name,
            scopes,
            streams,
            generation: _,
            retiring,
            created_at,
            created_by,
            updated_at,
            updated_by,
            revision: _,
        } = key;
        let last = retiring.values().map(|until| until.0).filter(|until| now < *until).max();
        Self {
            id: id.to_string(),
            owner: owner.to_string(),
            name: name.clone(),
            scopes: scopes.clone(),
            streams: streams.clone(),
            created_at: rfc3339_text(*created_at),
            created_by: created_by.clone(),
            updated_at: rfc3339_text(*updated_at),
            updated_by: updated_by.clone(),
            old_tokens_valid_until: last.map(rfc3339_text),
        }
    }
}

/// A token to be made.
#[derive(Debug, utoipa::ToSchema)]
pub struct TokenIn {
    /// How long it is valid.
    #[schema(value_type = u32, minimum = 1, maximum = 365)]
    pub expires_in_days: TokenDays,
}

impl TokenIn {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 with everything that is wrong with it.
    pub fn parse(body: &str) -> Result<Self, Problem> {
        let mut fields = Fields::parse(body)?;
        let expires_in_days = fields.required("expires_in_days");
        fields.finish(expires_in_days.map(|expires_in_days| Self { expires_in_days }))
    }
}

/// A token, shown this once.
#[derive(Debug, utoipa::ToSchema)]
#[allow(dead_code, reason = "describes `IssuedToken` in the document")]
pub struct TokenOut {
    /// The token, for `Authorization: Bearer`.
    token: String,
    /// When it ends (RFC 3339).
    expires_at: String,
}

/// How a key is to be rotated.
#[derive(Debug, utoipa::ToSchema)]
pub struct RotationIn {
    /// How long tokens that were made before stay valid; a day by default.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 2_592_000, default = 86_400)]
    pub grace_seconds: Duration,
}

impl RotationIn {
    /// Reads a body, which may be empty.
    ///
    /// # Errors
    /// 400 with everything that is wrong with it.
    pub fn parse(body: &str) -> Result<Self, Problem> {
        let mut fields = Fields::parse(if body.trim().is_empty() { "{}" } else { body })?;
        let seconds: Option<u64> = fields.optional("grace_seconds");
        let grace_seconds = seconds.map_or(DEFAULT_GRACE, Duration::from_secs);
        if grace_seconds > MAX_GRACE {
            fields.fault("grace_seconds", &format!("expected 0 to {}", MAX_GRACE.as_secs()));
        }
        fields.finish(Some(Self { grace_seconds }))
    }
}

/// Public keys (RFC 7517, 5).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JwkSet {
    /// Every key that a valid token of this deployment may be signed with.
    pub keys: Vec<Jwk>,
}

/// A public key (RFC 7517, 4).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: String,
    x: String,
    y: String,
}

impl JwkSet {
    /// The deployment's own keys, which are all for ES256.
    pub fn new(keys: Vec<VerificationKey>) -> Self {
        let jwk = |key| match key {
            VerificationKey::Es256(PublicKey { kid, x, y }) => Some(Jwk { kty: "EC", crv: "P-256", alg: "ES256", usage: "sig", kid, x, y }),
            VerificationKey::Rs256 { .. } => None,
        };
        Self { keys: keys.into_iter().filter_map(jwk).collect() }
    }
}
