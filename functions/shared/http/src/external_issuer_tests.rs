//! Tokens of an external issuer, whose keys come over HTTP through the guarded client.

use std::sync::Arc;
use std::time::Duration;

use domain::access::{Caller, Scope};
use domain::fakes::{FakeApiKeys, FakeSystem, FakeVerificationKeys};
use domain::signing::Issuer;
use domain::system::System;
use jsonwebtoken::Algorithm;
use outgoing::{OidcKeys, OutgoingClient};
use serde_json::{Value, json};

use crate::authenticate::{Authenticator, ExternalIssuer, Trust};
use crate::key_cache::EXTERNAL_KEYS;
use crate::problem::Problem;
use crate::testing::{TestIssuer, TestOidc};

const EC: (&str, Algorithm) = ("ec-1", Algorithm::ES256);
const RSA: (&str, Algorithm) = ("rsa-1", Algorithm::RS256);

/// A deployment that trusts itself and one issuer, which publishes two keys.
struct Bench {
    own: TestIssuer,
    oidc: TestOidc,
    system: Arc<FakeSystem>,
    authenticator: Authenticator,
}

impl Bench {
    async fn new() -> Self {
        Self::opened("127.0.0.1/32").await
    }

    /// The issuer can be called when the allow list says so.
    async fn opened(allow_list: &str) -> Self {
        let (own, oidc, system) = (TestIssuer::default(), TestOidc::start(0).await, Arc::new(FakeSystem::new()));
        oidc.publish(&[EC, RSA]);
        let client = OutgoingClient::new(allow_list.parse().unwrap()).unwrap();
        let external = ExternalIssuer {
            issuer: Issuer { issuer: oidc.issuer(), audience: "millrace-api".into() },
            owner_claim: "owner".into(),
            keys: Arc::new(OidcKeys::new(client, oidc.issuer())),
        };
        let keys = Arc::new(FakeVerificationKeys::new(vec![own.public_key()]));
        let trust = Trust { external: Some(external), ..own.trust(keys, Arc::new(FakeApiKeys::default())) };
        let authenticator = Authenticator::new(trust, system.clone());
        Self { own, oidc, system, authenticator }
    }

    fn claims(&self, changes: &Value) -> Value {
        self.oidc.claims("millrace-api", self.system.now().unix_timestamp(), changes)
    }

    fn token(&self, (kid, algorithm): (&str, Algorithm), changes: &Value) -> String {
        self.oidc.sign(kid, algorithm, &self.claims(changes))
    }

    async fn verify(&self, token: &str) -> Result<Caller, Problem> {
        self.authenticator.authenticate(Some(&format!("Bearer {token}"))).await
    }

    /// 200 or the status of the refusal.
    async fn status(&self, key: (&str, Algorithm)) -> u16 {
        self.verify(&self.token(key, &json!({}))).await.map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }
}

#[tokio::test]
async fn tokens_with_either_algorithm_name_their_caller() {
    let bench = Bench::new().await;
    for key in [EC, RSA] {
        let caller = bench.verify(&bench.token(key, &json!({}))).await.unwrap();
        assert_eq!((caller.owner.as_str(), caller.subject.as_str(), caller.scopes), ("waste", "oidc:kari", vec![Scope::Read]));
    }
    assert_eq!(bench.oidc.fetches(), 1);
}

#[tokio::test]
async fn our_own_tokens_are_still_good_and_ask_nobody_outside() {
    let bench = Bench::new().await;
    let caller = bench.verify(&bench.own.token("transport", &[Scope::Ingest])).await.unwrap();
    assert_eq!(caller.owner.as_str(), "transport");
    assert_eq!(bench.oidc.fetches(), 0);
}

#[tokio::test]
async fn every_bad_token_is_a_401() {
    let bench = Bench::new().await;
    let now = bench.system.now().unix_timestamp();
    let changes = [
        json!({"exp": now - 60}),
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"nbf": now + 60}),
        json!({"aud": "account"}),
        json!({"aud": ["account"]}),
        json!({"aud": null}),
        json!({"iss": "https://elsewhere.example.org"}),
        json!({"iss": bench.own.issuer.issuer}),
        json!({"iss": null}),
        json!({"owner": null}),
        json!({"scope": "openid"}),
        json!({"scope": "admin"}),
        json!({"typ": "ID"}),
    ];
    for change in changes {
        for key in [EC, RSA] {
            let problem = bench.verify(&bench.token(key, &change)).await.expect_err(&change.to_string());
            assert_eq!(problem.status(), 401, "{change}");
        }
    }
    // The right key under the other one's name: the kind of a key fixes its algorithm.
    assert_eq!(bench.status(("ec-1", Algorithm::RS256)).await, 401);
    assert_eq!(bench.status(("rsa-1", Algorithm::ES256)).await, 401);
    let good = bench.token(EC, &json!({}));
    let tampered = good.replacen(&good.split('.').nth(1).unwrap()[10..12], "xx", 1);
    assert_eq!(bench.verify(&tampered).await.unwrap_err().status(), 401);
}

#[tokio::test]
async fn the_issuer_s_key_cannot_sign_our_own_tokens_nor_ours_the_issuer_s() {
    let bench = Bench::new().await;
    // The same name of a key means another key with each issuer.
    bench.oidc.publish(&[(bench.own.kid.as_str(), Algorithm::RS256)]);
    let own_claims = json!(bench.own.claims("waste", &[Scope::Admin], bench.system.as_ref()));
    let forged = bench.oidc.sign(&bench.own.kid, Algorithm::RS256, &own_claims);
    assert_eq!(bench.verify(&forged).await.unwrap_err().status(), 401);
    let foreign = bench.own.sign(&bench.claims(&json!({})));
    assert_eq!(bench.verify(&foreign).await.unwrap_err().status(), 401);
}

#[tokio::test]
async fn a_flood_of_made_up_key_ids_causes_one_fetch_a_window() {
    let bench = Bench::new().await;
    for n in 0..200 {
        assert_eq!(bench.status((&format!("made-up-{n}"), Algorithm::ES256)).await, 401);
    }
    assert_eq!(bench.oidc.fetches(), 1);
    assert_eq!(bench.status(EC).await, 200, "and harms nobody");
    bench.system.advance(EXTERNAL_KEYS.window);
    for n in 0..200 {
        assert_eq!(bench.status((&format!("made-up-{n}"), Algorithm::RS256)).await, 401);
    }
    assert_eq!(bench.oidc.fetches(), 2);
}

#[tokio::test]
async fn new_keys_are_found_and_old_ones_forgotten() {
    let bench = Bench::new().await;
    assert_eq!(bench.status(EC).await, 200);
    let second = ("ec-2", Algorithm::ES256);
    bench.oidc.publish(&[second]);
    assert_eq!(bench.status(second).await, 401, "not looked for within the window");
    bench.system.advance(EXTERNAL_KEYS.window);
    assert_eq!((bench.status(second).await, bench.status(EC).await), (200, 401));
    assert_eq!(bench.oidc.fetches(), 2);
    bench.oidc.publish(&[RSA]);
    bench.system.advance(EXTERNAL_KEYS.life);
    assert_eq!((bench.status(second).await, bench.status(RSA).await), (401, 200), "looked up anew though nothing was unknown");
}

#[tokio::test]
async fn an_outage_is_bridged_for_a_while_and_is_no_401() {
    let bench = Bench::new().await;
    assert_eq!(bench.status(EC).await, 200);
    bench.oidc.fail();
    bench.system.advance(EXTERNAL_KEYS.stale_limit - Duration::from_millis(1));
    assert_eq!(bench.status(EC).await, 200);
    assert_eq!(bench.status(("ec-2", Algorithm::ES256)).await, 503, "nobody can say whether it is good");
    bench.system.advance(Duration::from_millis(1));
    assert_eq!(bench.status(EC).await, 503);
    bench.oidc.publish(&[EC]);
    bench.system.advance(EXTERNAL_KEYS.window);
    assert_eq!(bench.status(EC).await, 200);
}

#[tokio::test]
async fn an_issuer_on_a_private_address_is_not_called_unless_it_is_listed() {
    let bench = Bench::opened("").await;
    let problem = bench.verify(&bench.token(EC, &json!({}))).await.unwrap_err();
    assert_eq!(problem.status(), 503);
    assert!(problem.cause().unwrap().contains("not public"), "{:?}", problem.cause());
    assert_eq!(bench.oidc.fetches(), 0);
}
