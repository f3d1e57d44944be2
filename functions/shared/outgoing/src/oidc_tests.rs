use serde_json::json;

use super::*;
use crate::test_server::TestServer;

const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/keys";

/// The base64url text of 32 bytes.
const COORDINATE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

/// An issuer that publishes these keys.
async fn issuer(keys: Value) -> TestServer {
    let server = TestServer::start().await;
    discover(&server, &server.url(""));
    server.serve(KEYS, &json!({"keys": keys}).to_string());
    server
}

/// Publishes a discovery document in the name of `issuer`.
fn discover(server: &TestServer, issuer: &str) {
    server.serve(DISCOVERY, &json!({"issuer": issuer, "jwks_uri": server.url(KEYS), "scopes_supported": ["openid"]}).to_string());
}

fn oidc(issuer: String) -> OidcKeys {
    let client = OutgoingClient::new("127.0.0.1".parse().unwrap()).unwrap();
    OidcKeys::new(client, issuer)
}

fn ec(kid: &str) -> Value {
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": COORDINATE, "y": COORDINATE})
}

async fn kids(oidc: &OidcKeys) -> Result<Vec<String>, String> {
    let keys = oidc.load().await.map_err(|fault| fault.chain())?;
    Ok(keys.iter().map(|key| key.kid().to_owned()).collect())
}

#[tokio::test]
async fn of_a_mixture_the_keys_for_our_algorithms_are_kept_in_order() {
    let rsa = json!({"kty": "RSA", "kid": "rsa", "n": "_".repeat(342) + "w", "e": "AQAB"});
    let secret = json!({"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"});
    let encryption = json!({"kty": "RSA", "kid": "encryption", "use": "enc", "n": "_".repeat(342) + "w", "e": "AQAB"});
    let nameless = json!({"kty": "EC", "crv": "P-256", "x": COORDINATE, "y": COORDINATE});
    let server = issuer(json!([secret, ec("ec"), encryption, nameless, {"kid": 7}, "key", null, rsa])).await;
    assert_eq!(kids(&oidc(server.url(""))).await.unwrap(), ["ec", "rsa"]);
    assert_eq!(server.requests(), [DISCOVERY, KEYS]);
}

#[tokio::test]
async fn an_issuer_with_a_slash_at_its_end_is_asked_without_it_and_compared_with_it() {
    let server = issuer(json!([ec("one")])).await;
    discover(&server, &server.url("/"));
    assert_eq!(kids(&oidc(server.url("/"))).await.unwrap(), ["one"]);
    assert!(kids(&oidc(server.url(""))).await.unwrap_err().starts_with("expected the discovery document of"));
}

#[tokio::test]
async fn an_issuer_with_a_path_is_asked_under_its_path() {
    let server = issuer(json!([ec("one")])).await;
    let tenant = server.url("/tenant");
    server.serve("/tenant/.well-known/openid-configuration", &json!({"issuer": tenant, "jwks_uri": server.url(KEYS)}).to_string());
    assert_eq!(kids(&oidc(tenant)).await.unwrap(), ["one"]);
}

#[tokio::test]
async fn another_issuers_document_is_refused_and_its_keys_are_not_asked_for() {
    let server = issuer(json!([ec("one")])).await;
    discover(&server, "https://other.example");
    let expected = format!("expected the discovery document of {:?}, got that of \"https://other.example\"", server.url(""));
    assert_eq!(kids(&oidc(server.url(""))).await.unwrap_err(), expected);
    assert_eq!(server.requests(), [DISCOVERY]);
}

#[tokio::test]
async fn the_guard_stands_before_the_place_of_the_keys_too() {
    let server = issuer(json!([])).await;
    let document = json!({"issuer": server.url(""), "jwks_uri": "http://169.254.169.254/latest/meta-data"});
    server.serve(DISCOVERY, &document.to_string());
    let fault = kids(&oidc(server.url(""))).await.unwrap_err();
    assert!(fault.ends_with("call to host \"169.254.169.254\" refused: the address is not public"), "{fault}");
}

#[tokio::test]
async fn after_a_rotation_the_next_load_gives_the_new_keys() {
    let server = issuer(json!([ec("old")])).await;
    let oidc = oidc(server.url(""));
    assert_eq!(kids(&oidc).await.unwrap(), ["old"]);
    server.serve(KEYS, &json!({"keys": [ec("old"), ec("new")]}).to_string());
    assert_eq!(kids(&oidc).await.unwrap(), ["old", "new"]);
    server.serve(KEYS, &json!({"keys": []}).to_string());
    assert!(kids(&oidc).await.unwrap().is_empty(), "keys that were taken away are not kept");
    assert_eq!(server.requests(), [DISCOVERY, KEYS, KEYS, KEYS], "the place of the keys is remembered");
}

#[tokio::test]
async fn the_place_of_the_keys_is_asked_for_anew_when_its_time_is_over() {
    let server = issuer(json!([ec("one")])).await;
    let oidc = OidcKeys { discovery_life: Duration::ZERO, ..oidc(server.url("")) };
    oidc.load().await.unwrap();
    oidc.load().await.unwrap();
    assert_eq!(server.requests(), [DISCOVERY, KEYS, DISCOVERY, KEYS]);
}

#[tokio::test]
async fn keys_that_moved_are_found_at_the_second_load() {
    let server = issuer(json!([ec("one")])).await;
    let oidc = oidc(server.url(""));
    oidc.load().await.unwrap();
    server.serve(KEYS, "moved");
    server.serve("/new-keys", &json!({"keys": [ec("two")]}).to_string());
    server.serve(DISCOVERY, &json!({"issuer": server.url(""), "jwks_uri": server.url("/new-keys")}).to_string());
    assert!(kids(&oidc).await.unwrap_err().starts_with("could not read the keys"));
    assert_eq!(kids(&oidc).await.unwrap(), ["two"]);
}

#[tokio::test]
async fn an_outage_is_a_fault_with_its_cause() {
    let server = issuer(json!([ec("one")])).await;
    let oidc = oidc(server.url(""));
    oidc.load().await.unwrap();
    server.serve_raw(KEYS, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_eq!(kids(&oidc).await.unwrap_err(), "could not get the keys of the external issuer: expected status 200, got 503");
    server.stop().await;
    let fault = kids(&oidc).await.unwrap_err();
    assert!(fault.starts_with("could not get the discovery document of the external issuer: the call failed: "), "{fault}");
}

#[tokio::test]
async fn too_many_keys_are_a_fault() {
    let keys = |count: usize| (0..count).map(|number| ec(&number.to_string())).collect::<Vec<_>>();
    let server = issuer(json!(keys(MAX_KEYS))).await;
    let oidc = oidc(server.url(""));
    assert_eq!(kids(&oidc).await.unwrap().len(), MAX_KEYS);
    server.serve(KEYS, &json!({"keys": keys(MAX_KEYS + 1)}).to_string());
    assert!(kids(&oidc).await.unwrap_err().starts_with("expected at most 50 keys of"));
}

#[tokio::test]
async fn documents_over_the_limit_or_of_another_shape_are_faults() {
    let server = issuer(json!([])).await;
    let padding = " ".repeat(MAX_DOCUMENT_BYTES);
    let good = json!({"issuer": server.url(""), "jwks_uri": server.url(KEYS)}).to_string();
    let without_keys = json!({"issuer": server.url("")}).to_string();
    for (document, expected) in [
        (format!("{good}{padding}"), "could not get"),
        (without_keys, "could not read the discovery document"),
        ("<html>".to_owned(), "could not read the discovery document"),
        (good[..good.len() - 1].to_owned(), "could not read the discovery document"),
    ] {
        server.serve(DISCOVERY, &document);
        assert!(kids(&oidc(server.url(""))).await.unwrap_err().starts_with(expected));
    }
    server.serve(DISCOVERY, &good);
    assert!(kids(&oidc(server.url(""))).await.is_ok());
}
