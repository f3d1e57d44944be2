//! From a verified token's claims to its caller.

use domain::access::{Caller, Scope};
use domain::ids::StreamPattern;
use domain::token::Claims;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// The caller of one of our own tokens.
///
/// # Errors
/// 401 when it allows nothing.
pub(crate) fn own_caller(claims: Claims) -> Result<Caller, Problem> {
    let scopes = scopes_in(claims.scope.split(' '), &Scope::ALL);
    let api_key = claims.key.map(|key| key.id);
    with_a_scope(Caller { subject: claims.sub, owner: claims.owner, scopes, streams: claims.streams, api_key })
}

/// Begins the subject of every caller whom an external issuer vouches for.
const EXTERNAL_MARK: &str = "oidc:";

/// Every claim of an external issuer's token.
///
/// | what | claim |
/// |---|---|
/// | owner | the one that the deployment names (`OidcOwnerClaim`) |
/// | subject | `oidc:` and `sub` |
/// | scopes | the words `manage`, `ingest` and `read` in `scope` (a text with spaces, or a list) and in `resource_access.{audience}.roles` |
/// | streams | `streams`, a list of patterns, if there is one |
#[derive(Debug, Deserialize)]
pub(crate) struct ExternalClaims(Map<String, Value>);

impl ExternalClaims {
    /// `nbf`, in seconds since 1970.
    pub(crate) fn not_before(&self) -> Option<i64> {
        self.seconds("nbf")
    }

    /// `exp`, in seconds since 1970.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        self.seconds("exp")
    }

    /// A `NumericDate` may have a fraction (RFC 7519, 2).
    fn seconds(&self, name: &str) -> Option<i64> {
        let value = self.0.get(name)?;
        // A time that is no number is one that never begins and has already ended.
        let unreadable = if name == "nbf" { i64::MAX } else { i64::MIN };
        #[allow(clippy::cast_possible_truncation, reason = "a float beyond the range of i64 becomes its end, which is meant")]
        Some(value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64)).unwrap_or(unreadable))
    }

    /// The caller. `admin` is never taken from outside.
    ///
    /// # Errors
    /// 401 when a claim is missing or unreadable, or nothing is allowed.
    pub(crate) fn caller(self, owner_claim: &str, audience: &str) -> Result<Caller, Problem> {
        // Keycloak marks what is no access token.
        if matches!(self.text("typ"), Some("ID" | "Refresh" | "Offline" | "Logout")) {
            return Err(Problem::unauthorized("not an access token"));
        }
        let owner = self.text(owner_claim).ok_or_else(|| Problem::unauthorized(format!("no text in claim {owner_claim}")))?;
        let owner = owner.parse().map_err(|error| Problem::unauthorized(format!("claim {owner_claim}: {error}")))?;
        let subject = self.text("sub").ok_or_else(|| Problem::unauthorized("no subject"))?;
        // Marked, so that nobody outside can look like one of our API keys or operators in `updated_by`.
        let subject = format!("{EXTERNAL_MARK}{}", subject.chars().take(100).collect::<String>());
        let scope = self.0.get("scope");
        let listed = scope.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let spoken = scope.and_then(Value::as_str).into_iter().flat_map(|text| text.split(' '));
        let roles = self.0.get("resource_access").and_then(|access| access.get(audience)?.get("roles")?.as_array());
        let roles = roles.into_iter().flatten().filter_map(Value::as_str);
        let scopes = scopes_in(listed.chain(spoken).chain(roles), &[Scope::Manage, Scope::Ingest, Scope::Read]);
        let streams = match self.0.get("streams") {
            None => None,
            Some(value) => Some(
                Vec::<StreamPattern>::deserialize(value)
                    .map_err(|error| Problem::unauthorized(format!("claim streams is no list of patterns: {error}")))?,
            ),
        };
        with_a_scope(Caller { subject, owner, scopes, streams, api_key: None })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

/// The scopes among words, each once, in the order of `known`.
fn scopes_in<'w>(words: impl Iterator<Item = &'w str>, known: &[Scope]) -> Vec<Scope> {
    let words: Vec<&str> = words.collect();
    known.iter().copied().filter(|scope| words.contains(&scope.as_str())).collect()
}

fn with_a_scope(caller: Caller) -> Result<Caller, Problem> {
    if caller.scopes.is_empty() { Err(Problem::unauthorized("token without a known scope")) } else { Ok(caller) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn caller(claims: Value) -> Result<Caller, Problem> {
        let claims: ExternalClaims = serde_json::from_value(claims).unwrap();
        claims.caller("owner", "millrace")
    }

    #[test]
    fn scopes_are_read_in_keycloaks_shapes() {
        let spoken = json!({"sub": "kari", "owner": "waste", "scope": "openid read ingest profile"});
        assert_eq!(caller(spoken).unwrap().scopes, [Scope::Ingest, Scope::Read]);
        let listed = json!({"sub": "kari", "owner": "waste", "scope": ["read"]});
        assert_eq!(caller(listed).unwrap().scopes, [Scope::Read]);
        let roles = json!({"sub": "kari", "owner": "waste", "scope": "openid",
            "resource_access": {"millrace": {"roles": ["manage", "uma"]}, "other": {"roles": ["read"]}}});
        let found = caller(roles).unwrap();
        assert_eq!((found.owner.as_str(), found.subject.as_str(), found.scopes), ("waste", "oidc:kari", vec![Scope::Manage]));
    }

    #[test]
    fn streams_limit_the_caller() {
        let claims = json!({"sub": "kari", "owner": "waste", "scope": "read", "streams": ["refuse-*"]});
        let found = caller(claims).unwrap();
        assert!(found.may_touch(&"refuse-trucks".parse().unwrap()) && !found.may_touch(&"bus-positions".parse().unwrap()));
    }

    #[test]
    fn an_outside_admin_is_none() {
        let roles = json!({"millrace": {"roles": ["admin"]}});
        for scope in ["admin", "admin read"] {
            let claims = json!({"sub": "kari", "owner": "waste", "scope": scope, "resource_access": roles});
            assert!(caller(claims).map_or(true, |caller| caller.scopes == [Scope::Read]), "{scope}");
        }
    }

    #[test]
    fn a_claim_that_is_missing_or_unreadable_is_a_401() {
        let good = json!({"sub": "kari", "owner": "waste", "scope": "read"});
        assert!(caller(good.clone()).is_ok());
        let changes = [
            ("owner", Value::Null),
            ("owner", json!(7)),
            ("owner", json!("a#b")),
            ("sub", Value::Null),
            ("scope", json!("reader")),
            ("scope", json!({"read": true})),
            ("streams", json!("refuse-*")),
            ("streams", json!(["A"])),
            ("typ", json!("ID")),
        ];
        for (name, value) in changes {
            let mut claims = good.clone();
            claims[name] = value.clone();
            assert_eq!(caller(claims).unwrap_err().status(), 401, "{name} {value}");
        }
    }

    #[test]
    fn times_may_have_fractions_and_no_other_form() {
        let claims = |exp: Value, nbf: Value| serde_json::from_value::<ExternalClaims>(json!({"exp": exp, "nbf": nbf})).unwrap();
        let good = claims(json!(1.5), json!(-1));
        assert_eq!((good.expires_at(), good.not_before()), (Some(1), Some(-1)));
        let bad = claims(json!("soon"), json!("now"));
        assert_eq!((bad.expires_at(), bad.not_before()), (Some(i64::MIN), Some(i64::MAX)));
    }
}
