//! An external issuer with real keys: what it publishes, and the tokens that it signs.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use outgoing::test_server::TestServer;
use serde_json::{Value, json};

use super::OTHER_KEY;

/// An RSA key of 2048 bits made for these tests (PKCS #1).
const RSA_KEY: &str = include_str!("../../fixtures/rsa-test-key.b64");

/// An issuer that listens on 127.0.0.1, and signs with a key for ES256 and one for RS256.
pub struct TestOidc {
    server: TestServer,
}

impl TestOidc {
    /// Listens on a port, or on any with 0, and publishes no key yet.
    pub async fn start(port: u16) -> Self {
        let oidc = Self { server: TestServer::start_on(port).await };
        let discovery = json!({"issuer": oidc.issuer(), "jwks_uri": oidc.server.url("/keys")});
        oidc.server.serve("/.well-known/openid-configuration", &discovery.to_string());
        oidc.publish(&[]);
        oidc
    }

    /// What stands in `iss`.
    pub fn issuer(&self) -> String {
        self.server.url("")
    }

    /// Publishes keys of these names from now on.
    pub fn publish(&self, keys: &[(&str, Algorithm)]) {
        let jwk = |(kid, algorithm): &(&str, Algorithm)| {
            let mut jwk = Jwk::from_encoding_key(&encoding_key(*algorithm), *algorithm).map(|jwk| json!(jwk)).unwrap_or_default();
            jwk["kid"] = json!(kid);
            jwk["use"] = json!("sig");
            jwk
        };
        self.server.serve("/keys", &json!({"keys": keys.iter().map(jwk).collect::<Vec<_>>()}).to_string());
    }

    /// Answers nothing useful from now on.
    pub fn fail(&self) {
        self.server.serve_raw("/keys", "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }

    /// How often the keys were fetched.
    pub fn fetches(&self) -> usize {
        self.server.requests().iter().filter(|path| *path == "/keys").count()
    }

    /// The claims of an access token as Keycloak makes one, valid for an hour from `now` (seconds since 1970), with these changed.
    pub fn claims(&self, audience: &str, now: i64, changes: &Value) -> Value {
        let mut claims = json!({
            "iss": self.issuer(), "aud": [audience, "account"], "sub": "kari", "typ": "Bearer", "owner": "waste",
            "scope": "openid read", "iat": now, "exp": now + 3_600,
        });
        for (name, value) in changes.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims
    }

    /// Signs claims.
    pub fn sign(&self, kid: &str, algorithm: Algorithm, claims: &Value) -> String {
        let mut header = Header::new(algorithm);
        header.kid = Some(kid.to_owned());
        encode(&header, claims, &encoding_key(algorithm)).unwrap_or_default()
    }

    /// The real time, in seconds since 1970.
    pub fn real_now() -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or_default())
    }
}

fn encoding_key(algorithm: Algorithm) -> EncodingKey {
    let decoded = |text: &str| BASE64_STANDARD.decode(text.trim()).unwrap_or_default();
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_der(&decoded(OTHER_KEY)),
        _ => EncodingKey::from_rsa_der(&decoded(RSA_KEY)),
    }
}
