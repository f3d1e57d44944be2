//! The function on fakes. The caller is a manager of the owner `waste`.

use std::sync::Arc;

use axum::Router;
use domain::access::Scope;
use domain::fakes::{FakeApiKeys, FakeSystem, api_key};
use domain::ids::ApiKeyId;
use domain::signing::SigningKeyPublisher;
use domain::token::{TokenDays, TokenIssuer};
use http_edge::Authenticator;
use http_edge::testing::{Answer, FakeVault, TestIssuer, event, send};
use manage_keys::context::Context;
use manage_keys::routes;
use serde_json::{Value, json};

/// The keys of an owner.
pub(crate) const KEYS: &str = "/api-keys";

/// The function and everything behind it.
pub(crate) struct Bench {
    pub(crate) vault: Arc<FakeVault>,
    pub(crate) keys: Arc<FakeApiKeys>,
    pub(crate) system: Arc<FakeSystem>,
    router: Router,
}

impl Bench {
    /// Without any API key, after an operator's first token.
    pub(crate) async fn new() -> Self {
        let (vault, keys, system) = (Arc::new(FakeVault::default()), Arc::new(FakeApiKeys::default()), Arc::new(FakeSystem::new()));
        let public_key = vault.issuer().public_key();
        vault.publish(&public_key).await.unwrap();
        let issuer = vault.issuer().issuer.clone();
        let tokens = Arc::new(TokenIssuer { signer: vault.clone(), keys: vault.clone(), issuer, system: system.clone() });
        let trust = vault.issuer().trust(vault.clone(), keys.clone());
        let authenticator = Arc::new(Authenticator::new(trust, system.clone()));
        // It publishes the key under the name that its tokens give it.
        tokens.issue(&api_key("operations", &[Scope::Admin]).grant(), TokenDays::try_from(1).unwrap()).await.unwrap();
        let context = Context { keys: keys.clone(), tokens, authenticator, system: system.clone() };
        Self { vault, keys, system, router: routes::app(context) }
    }

    pub(crate) fn issuer(&self) -> &TestIssuer {
        self.vault.issuer()
    }

    /// A token of the operator's kind.
    pub(crate) fn token(&self, owner: &str, scope: Scope) -> String {
        self.issuer().token(owner, &[scope])
    }

    /// Calls as a manager of `waste`.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.call_as(&self.token("waste", Scope::Manage), method, path, body).await
    }

    /// Calls with any token.
    pub(crate) async fn call_as(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string);
        send(&self.router, &event(method, path, Some(token), body.as_deref())).await
    }

    /// Calls with a body that need not be JSON, and any token or none.
    pub(crate) async fn call_raw(&self, token: Option<&str>, method: &str, path: &str, body: Option<&str>) -> Answer {
        send(&self.router, &event(method, path, token, body)).await
    }

    /// Calls with an event that the others do not make.
    pub(crate) async fn send(&self, event: &Value) -> Answer {
        send(&self.router, event).await
    }

    /// Makes an API key and returns its id.
    pub(crate) async fn make_key(&self, scopes: &[&str]) -> ApiKeyId {
        let made = self.call("POST", KEYS, Some(&json!({"name": "truck gateway", "scopes": scopes}))).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["id"].as_str().unwrap().parse().unwrap()
    }

    /// Makes a token with an API key.
    pub(crate) async fn make_token(&self, id: &ApiKeyId) -> String {
        let made = self.call("POST", &format!("{KEYS}/{id}/tokens"), Some(&json!({"expires_in_days": 3}))).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["token"].as_str().unwrap().to_owned()
    }

    /// What a token may do here: the status of a list of keys.
    pub(crate) async fn list_with(&self, token: &str) -> u16 {
        self.call_as(token, "GET", KEYS, None).await.status
    }
}
