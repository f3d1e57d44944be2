//! The function as an operator invokes it, with a signer that answers as KMS does; the tokens go through the edge's own verification.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::access::{Caller, Scope};
use domain::fakes::{FakeApiKeys, FakeSystem};
use domain::token::{IssuedToken, TokenIssuer};
use http_edge::testing::FakeVault;
use http_edge::{Authenticator, Problem};
use insta::assert_snapshot;
use issue_token::context::Context;
use issue_token::handler::handle;
use lambda_runtime::{Error, LambdaEvent};
use serde_json::{Value, json};

/// The function and everything behind it.
struct Bench {
    vault: Arc<FakeVault>,
    system: Arc<FakeSystem>,
    context: Context,
}

impl Bench {
    fn new() -> Self {
        let (vault, system) = (Arc::new(FakeVault::default()), Arc::new(FakeSystem::new()));
        let issuer = vault.issuer().issuer.clone();
        let tokens = TokenIssuer { signer: vault.clone(), keys: vault.clone(), issuer, system: system.clone() };
        let context = Context { tokens };
        Self { vault, system, context }
    }

    async fn ask(&self, request: Value) -> Result<IssuedToken, Error> {
        handle(&self.context, LambdaEvent::new(request, lambda_runtime::Context::default())).await
    }

    /// Verifies a token as the functions do, with nothing but what was published.
    async fn verify(&self, token: &str) -> Result<Caller, Problem> {
        let trust = self.vault.issuer().trust(self.vault.clone(), Arc::new(FakeApiKeys::default()));
        let authenticator = Authenticator::new(trust, self.system.clone());
        authenticator.authenticate(Some(&format!("Bearer {token}"))).await
    }
}

/// A request as an operator sends it.
fn request() -> Value {
    serde_json::from_str(include_str!("fixtures/token-request.json")).unwrap()
}

fn with(name: &str, value: Value) -> Value {
    let mut request = request();
    request[name] = value;
    request
}

fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}

#[tokio::test]
async fn an_issued_token_is_accepted_by_the_functions_that_verify() {
    let bench = Bench::new();
    // Signatures differ in length as DER; each must come out right.
    for _ in 0..50 {
        let issued = bench.ask(request()).await.unwrap();
        let caller = bench.verify(issued.token.reveal()).await.unwrap();
        assert_eq!((caller.owner.as_str(), caller.subject.as_str()), ("waste", "kari@example.org"));
        assert_eq!(caller.scopes, [Scope::Manage, Scope::Ingest]);
    }
}

#[tokio::test]
async fn a_token_says_who_may_do_what_until_when() {
    let bench = Bench::new();
    let issued = bench.ask(request()).await.unwrap();
    assert_eq!(issued.expires_at, "2026-01-31T00:00:00Z");
    let mut said = claims(issued.token.reveal());
    let jti = said.as_object_mut().unwrap().remove("jti").unwrap();
    assert_snapshot!(said, @r#"{"aud":"millrace","exp":1769817600,"iat":1767225600,"iss":"urn:millrace:test","nbf":1767225600,"owner":"waste","scope":"manage ingest","sub":"kari@example.org"}"#);
    let next = bench.ask(request()).await.unwrap();
    assert_ne!(claims(next.token.reveal())["jti"], jti, "every token has a name of its own");
}

#[tokio::test]
async fn a_token_is_refused_after_its_days() {
    let bench = Bench::new();
    let issued = bench.ask(with("expires_in_days", json!(1))).await.unwrap();
    bench.system.advance(Duration::from_secs(24 * 60 * 60 - 1));
    assert!(bench.verify(issued.token.reveal()).await.is_ok());
    bench.system.advance(Duration::from_secs(60));
    assert_eq!(bench.verify(issued.token.reveal()).await.unwrap_err().status(), 401);
}

#[tokio::test]
async fn an_owner_alone_is_an_admins_request_for_thirty_days() {
    let bench = Bench::new();
    let issued = bench.ask(json!({"owner": "operations"})).await.unwrap();
    let caller = bench.verify(issued.token.reveal()).await.unwrap();
    assert_eq!((caller.subject.as_str(), caller.scopes), ("operator", vec![Scope::Admin]));
    assert_eq!(issued.expires_at, "2026-01-31T00:00:00Z");
}

#[tokio::test]
async fn the_least_and_the_most_days_are_granted() {
    for (days, expires_at) in [(1, "2026-01-02T00:00:00Z"), (365, "2027-01-01T00:00:00Z")] {
        assert_eq!(Bench::new().ask(with("expires_in_days", json!(days))).await.unwrap().expires_at, expires_at);
    }
}

#[tokio::test]
async fn a_request_that_is_not_one_is_refused_and_nothing_is_signed() {
    let refused = [
        (with("expires_in_days", json!(0)), "expires_in_days: expected 1 to 365, got 0"),
        (with("expires_in_days", json!(366)), "expires_in_days: expected 1 to 365, got 366"),
        (with("scopes", json!([])), "scopes: expected at least one"),
        (with("subject", json!("")), "subject: expected 1 to 100 characters"),
        (with("subject", json!("k".repeat(101))), "subject: expected 1 to 100 characters"),
        (with("expires_in_days", json!(-1)), "expires_in_days: expected 1 to 365, got -1"),
        (with("expires_in_days", json!("7")), "bad request for a token: "),
        (with("nope", json!(1)), "bad request for a token: unknown field `nope`"),
        (with("scopes", json!(["root"])), "bad request for a token: unknown variant `root`"),
        (with("owner", json!("a#b")), "bad request for a token: owner \"a#b\" does not match"),
        (with("owner", json!("")), "bad request for a token: owner \"\" does not match"),
        (json!({}), "bad request for a token: missing field `owner`"),
        (json!("waste"), "bad request for a token: "),
        (json!(["waste"]), "bad request for a token: "),
        (Value::Null, "bad request for a token: "),
    ];
    let bench = Bench::new();
    for (request, reason) in refused {
        let error = bench.ask(request.clone()).await.expect_err(&request.to_string()).to_string();
        assert!(error.starts_with(reason), "{request}: {error}");
    }
    assert!(bench.vault.calls().is_empty());
}

#[tokio::test]
async fn the_key_is_published_before_anything_is_signed() {
    let bench = Bench::new();
    bench.ask(request()).await.unwrap();
    assert_eq!(bench.vault.calls(), ["public key", "publish", "sign"]);
}

#[tokio::test]
async fn a_key_that_is_published_twice_is_one_key() {
    let bench = Bench::new();
    let (one, other) = (bench.ask(request()).await.unwrap(), bench.ask(request()).await.unwrap());
    assert_eq!(bench.vault.published().len(), 1);
    assert!(bench.verify(one.token.reveal()).await.is_ok() && bench.verify(other.token.reveal()).await.is_ok());
}

#[tokio::test]
async fn a_token_names_its_key_as_the_vault_does() {
    let bench = Bench::new();
    let issued = bench.ask(request()).await.unwrap();
    let header = BASE64_URL_SAFE_NO_PAD.decode(issued.token.reveal().split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": bench.vault.published()[0].kid}));
}

#[tokio::test]
async fn a_vault_or_a_table_that_fails_gives_no_token() {
    for failing in ["public key", "publish", "sign"] {
        let bench = Bench::new();
        bench.vault.fail(Some(failing));
        assert!(bench.ask(request()).await.is_err(), "{failing}");
        assert_eq!(bench.vault.calls().last(), Some(&failing), "and nothing is done after it");
        bench.vault.fail(None);
        assert!(bench.ask(request()).await.is_ok());
    }
}
