//! The public keys, for whoever verifies our tokens.

use insta::assert_snapshot;

use crate::bench::Bench;

#[tokio::test]
async fn the_public_keys_are_open_to_everybody() {
    let bench = Bench::new().await;
    let answer = bench.call_raw(None, "GET", "/.well-known/jwks.json", None).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("public, max-age=60")));
    let key = bench.issuer().public_key();
    let shown = answer.body["keys"][0].to_string().replace(&key.x, "[x]").replace(&key.y, "[y]");
    assert_snapshot!(shown, @r#"{"alg":"ES256","crv":"P-256","kid":"test-key","kty":"EC","use":"sig","x":"[x]","y":"[y]"}"#);
    assert_eq!(answer.body["keys"].as_array().map(Vec::len), Some(2), "every live key, whatever signs now");
}
