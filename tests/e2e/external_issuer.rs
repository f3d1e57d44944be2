//! Tokens of the external issuer that the deployment was told to trust; the test plays that issuer.

use http_edge::testing::TestOidc;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::harness::{Client, setting};

#[tokio::test]
async fn an_external_issuer_s_tokens_are_believed_by_every_function() {
    let issuer = setting("MILLRACE_OIDC_ISSUER");
    let audience = setting("MILLRACE_OIDC_AUDIENCE");
    let port = issuer.rsplit(':').next().unwrap().parse().unwrap();
    let oidc = TestOidc::start(port).await;
    assert_eq!(oidc.issuer(), issuer);
    oidc.publish(&[("rsa", Algorithm::RS256), ("ec", Algorithm::ES256)]);
    let token = |kid: &str, algorithm: Algorithm, changes: &Value| {
        let mut claims = oidc.claims(&audience, TestOidc::real_now(), &json!({"owner": "external", "scope": "openid"}));
        claims["resource_access"] = json!({ &audience: {"roles": ["manage", "ingest", "read"]} });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        oidc.sign(kid, algorithm, &claims)
    };

    let client = Client::with_token(&token("rsa", Algorithm::RS256, &json!({})));
    let stream = client.create_stream_with_sink("external", &json!({"input": {"timestamp": "$.time"}})).await;
    assert_eq!(client.get(&stream).await.expect(200).json()["owner"], "external");
    assert_eq!(client.get(&stream).await.expect(200).json()["created_by"], "oidc:kari");
    let client = Client::with_token(&token("ec", Algorithm::ES256, &json!({})));
    client.post(&format!("{stream}/events"), &json!([{"time": "2018-02-07T12:00:00Z"}])).await.expect(200);
    client.wait_for_history(&stream, "from_date=2018-02-07&to_date=2018-02-07", 1).await;
    client.get("/api-keys").await.expect(200);
    Client::of_another_owner().get(&stream).await.expect_problem(404);

    let now = TestOidc::real_now();
    for changes in [
        json!({"exp": now - 60}),
        json!({"nbf": now + 60}),
        json!({"aud": "another"}),
        json!({"iss": "https://id.example.org"}),
        json!({"resource_access": {"another": {"roles": ["manage"]}}}),
        json!({"owner": "a#b"}),
    ] {
        Client::with_token(&token("rsa", Algorithm::RS256, &changes)).get("/streams").await.expect_problem(401);
    }
    let reader = Client::with_token(&token("ec", Algorithm::ES256, &json!({"resource_access": {}, "scope": "read"})));
    reader.get("/streams").await.expect_problem(403);
    reader.get(&format!("{stream}/events?from_date=2018-02-07&to_date=2018-02-07")).await.expect(200);
}
