//! For handler tests: a deployment's issuer with a key that is used nowhere else, and requests as API Gateway sends them.

mod oidc;
mod vault;

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use domain::access::Scope;
use domain::api_key::ApiKeyReader;
use domain::fakes::{FakeApiKeys, FakeSystem, FakeVerificationKeys};
use domain::signing::{Issuer, PublicKey, VerificationKeys};
use domain::system::System;
use domain::token::{Claims, Grant, TokenDays};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lambda_http::request::LambdaRequest;
use serde_json::{Value, json};
use tower::Service;

use crate::authenticate::{Authenticator, Trust};

pub use oidc::TestOidc;
pub use vault::{FakeVault, THUMBPRINT};

/// A P-256 key pair made for these tests (PKCS #8).
pub(crate) const PRIVATE_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVBEc7YvmxTpSD95hc/GRPi4YwoSyr3FzSBCzSyBZ2TGhRANCAARzd646u9BupxNLkjwC836XKWYXamMyq1Fw/4Lijvoih/Rsj9gooj5yBwh33uufNlpqB3y4xGxw7ysYsenagsKA";

/// Another one.
pub(crate) const OTHER_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8BujuE1Q97ZtwQizrcR5ccCrnYBworEVG3koS5pNWu2hRANCAAQDixWWzZi/XiDfh+qdRUSI74g3WDYNfN6jzDUpRYB/pnjGOIRzFm35TmRo79i8IjPaWi7VATFVtikT6keJwtIM";

/// Issues tokens that [`TestIssuer::authenticator`] accepts.
#[derive(Debug, Clone)]
pub struct TestIssuer {
    /// What stands in `iss` and `aud`.
    pub issuer: Issuer,
    /// The name of the key.
    pub kid: String,
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self { issuer: Issuer { issuer: "urn:millrace:test".into(), audience: "millrace".into() }, kid: "test-key".into() }
    }
}

impl TestIssuer {
    /// The public half of the key.
    ///
    /// # Panics
    /// Never: the key is a constant.
    pub fn public_key(&self) -> PublicKey {
        let der = BASE64_STANDARD.decode(PRIVATE_KEY).unwrap_or_default();
        // The point is the last 64 bytes of this encoding.
        let point = &der[der.len() - 64..];
        let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        PublicKey { kid: self.kid.clone(), x: encode(&point[..32]), y: encode(&point[32..]) }
    }

    /// Signs claims as the deployment would.
    pub fn sign(&self, claims: &impl serde::Serialize) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        self.sign_with(&header, claims)
    }

    /// Signs claims under any header.
    pub fn sign_with(&self, header: &Header, claims: &impl serde::Serialize) -> String {
        let key = EncodingKey::from_ec_der(&BASE64_STANDARD.decode(PRIVATE_KEY).unwrap_or_default());
        encode(header, claims, &key).unwrap_or_default()
    }

    /// Signs any bytes with the private half of the key. Returns the signature's two halves, 64 bytes (RFC 7518, 3.4).
    pub fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        let key = EncodingKey::from_ec_der(&BASE64_STANDARD.decode(PRIVATE_KEY).unwrap_or_default());
        let signature = jsonwebtoken::crypto::sign(message, &key, Algorithm::ES256).unwrap_or_default();
        BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap_or_default()
    }

    /// The claims of a token for `owner` as of the fake clock's start.
    ///
    /// # Panics
    /// When `owner` is no owner.
    pub fn claims(&self, owner: &str, scopes: &[Scope], system: &dyn System) -> Claims {
        #[allow(clippy::expect_used, reason = "a test that names no owner should stop here")]
        let owner = owner.parse().expect("an owner");
        let grant = Grant { owner, subject: "tester".into(), scopes: scopes.to_vec(), streams: None, key: None };
        self.claims_for(&grant, system)
    }

    /// The claims of a token with this grant, valid for a day.
    ///
    /// # Panics
    /// Never: a day is a valid life.
    pub fn claims_for(&self, grant: &Grant, system: &dyn System) -> Claims {
        #[allow(clippy::expect_used, reason = "a day is a valid life")]
        let day = TokenDays::try_from(1).expect("a day");
        grant.claims(&self.issuer, day, system.now(), "jti-1".into())
    }

    /// A token for `owner`.
    pub fn token(&self, owner: &str, scopes: &[Scope]) -> String {
        self.sign(&self.claims(owner, scopes, &FakeSystem::new()))
    }

    /// Accepts this issuer's tokens, those of API keys left out.
    pub fn authenticator(&self, system: Arc<dyn System>) -> Arc<Authenticator> {
        self.authenticator_with(Arc::new(FakeApiKeys::default()), system)
    }

    /// Accepts this issuer's tokens, those of API keys while `api_keys` has the key.
    pub fn authenticator_with(&self, api_keys: Arc<dyn ApiKeyReader>, system: Arc<dyn System>) -> Arc<Authenticator> {
        let keys = Arc::new(FakeVerificationKeys::new(vec![self.public_key()]));
        Arc::new(Authenticator::new(self.trust(keys, api_keys), system))
    }

    /// Believes this issuer alone.
    pub fn trust(&self, keys: Arc<dyn VerificationKeys>, api_keys: Arc<dyn ApiKeyReader>) -> Trust {
        Trust { own: self.issuer.clone(), keys, api_keys, external: None }
    }
}

/// What a route answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body, when it is JSON; else its text.
    pub body: Value,
}

impl Answer {
    /// A header's value, if it is there and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What a client sees: the status, the headers that are contract, and the body's members, lists item by item. The request id, which
    /// differs from run to run, stands as `[request id]`.
    ///
    /// # Panics
    /// When the answer does not name its request.
    #[allow(clippy::expect_used, reason = "an answer without a request id fails every test")]
    pub fn shown(&self) -> String {
        let request_id = self.header("x-request-id").filter(|id| !id.is_empty()).expect("a request id in every answer");
        let mut shown = self.status.to_string();
        for name in ["content-type", "location", "retry-after", "allow", "www-authenticate"] {
            if let Some(value) = self.header(name) {
                shown += &format!("\n{name}: {value}");
            }
        }
        shown.push('\n');
        let Value::Object(members) = &self.body else { return format!("{shown}\n{}", self.body) };
        for (name, value) in members {
            match value {
                Value::String(id) if name == "request_id" && id == request_id => shown += "\nrequest_id: [request id]",
                Value::Array(items) if !items.is_empty() => {
                    shown += &format!("\n{name}:");
                    items.iter().for_each(|item| shown += &format!("\n  {item}"));
                }
                value => shown += &format!("\n{name}: {value}"),
            }
        }
        shown
    }
}

/// Sends a recorded API Gateway event (payload format 2.0) to a router.
///
/// # Panics
/// When the event is no such event.
#[allow(clippy::expect_used, reason = "a fixture that cannot be read is a broken test")]
pub async fn send(router: &Router, event: &Value) -> Answer {
    let request: LambdaRequest = serde_json::from_value(event.clone()).expect("an API Gateway event");
    let request: lambda_http::Request = request.into();
    let response = match router.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.expect("a body");
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// An API Gateway event as it is recorded from a `POST` of JSON, with this method, path, token and body.
pub fn event(method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Value {
    let mut recorded: Value = serde_json::from_str(include_str!("../../fixtures/api-gateway-v2.json")).unwrap_or_default();
    let (raw_path, query) = path.split_once('?').unwrap_or((path, ""));
    recorded["rawPath"] = json!(raw_path);
    recorded["rawQueryString"] = json!(query);
    recorded["requestContext"]["http"]["path"] = json!(raw_path);
    recorded["requestContext"]["http"]["method"] = json!(method);
    if let Some(token) = token {
        recorded["headers"]["authorization"] = json!(format!("Bearer {token}"));
    }
    match body {
        Some(body) => recorded["body"] = json!(body),
        None => {
            recorded["headers"].as_object_mut().map(|headers| headers.remove("content-type"));
        }
    }
    recorded
}
