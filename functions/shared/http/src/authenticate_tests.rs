use super::*;
use crate::testing::TestIssuer;
use domain::fakes::{FakeSigningKeys, FakeSystem, block_on};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

struct Bench {
    issuer: TestIssuer,
    keys: Arc<FakeSigningKeys>,
    system: Arc<FakeSystem>,
    authenticator: Authenticator,
}

fn bench() -> Bench {
    let issuer = TestIssuer::default();
    let keys = Arc::new(FakeSigningKeys::new(vec![issuer.public_key()]));
    let system = Arc::new(FakeSystem::new());
    let authenticator = Authenticator::new(&issuer.issuer, keys.clone(), system.clone());
    Bench { issuer, keys, system, authenticator }
}

impl Bench {
    fn try_token(&self, token: &str) -> Result<Caller, Problem> {
        block_on(self.authenticator.authenticate(Some(&format!("Bearer {token}"))))
    }

    fn claims(&self) -> serde_json::Value {
        serde_json::to_value(self.issuer.claims("waste", &[Scope::Ingest], self.system.as_ref())).unwrap()
    }
}

#[test]
fn a_good_token_names_its_caller() {
    let bench = bench();
    let caller = bench.try_token(&bench.issuer.token("waste", &[Scope::Ingest, Scope::Read])).unwrap();
    assert_eq!((caller.owner.as_str(), caller.subject.as_str()), ("waste", "tester"));
    assert_eq!(caller.scopes, [Scope::Ingest, Scope::Read]);
    assert!(block_on(bench.authenticator.authenticate(Some(&format!("bEaReR {}", bench.issuer.token("waste", &[Scope::Read]))))).is_ok());
}

#[test]
fn every_bad_token_is_the_same_401() {
    let bench = bench();
    let changed = |name: &str, value: serde_json::Value| {
        let mut claims = bench.claims();
        claims[name] = value;
        bench.issuer.sign(&claims)
    };
    let without = |name: &str| {
        let mut claims = bench.claims();
        claims.as_object_mut().unwrap().remove(name);
        bench.issuer.sign(&claims)
    };
    let good = bench.issuer.sign(&bench.claims());
    let now = bench.system.now().unix_timestamp();
    let parts: Vec<&str> = good.split('.').collect();
    let none = format!("eyJhbGciOiJub25lIiwia2lkIjoidGVzdC1rZXkifQ.{}.", parts[1]);
    let mut hs256_header = Header::new(jsonwebtoken::Algorithm::HS256);
    hs256_header.kid = Some(bench.issuer.kid.clone());
    let hs256 = encode(&hs256_header, &bench.claims(), &EncodingKey::from_secret(bench.issuer.public_key().x.as_bytes())).unwrap();
    let foreign_kid = TestIssuer { kid: "other".into(), ..bench.issuer.clone() }.sign(&bench.claims());
    let bad = [
        ("alg none", none),
        ("hs256 with the public key", hs256),
        ("tampered", format!("{}.{}.{}", parts[0], parts[1].replace('a', "b"), parts[2])),
        ("truncated signature", good[..good.len() - 4].to_owned()),
        ("unknown key", foreign_kid),
        ("expired", changed("exp", json!(now - 60))),
        ("not yet valid", changed("nbf", json!(now + 60))),
        ("foreign issuer", changed("iss", json!("urn:millrace:other"))),
        ("foreign audience", changed("aud", json!("other"))),
        ("no scope", changed("scope", json!(""))),
        ("bad owner", changed("owner", json!("a#b"))),
        ("no exp", without("exp")),
        ("no nbf", without("nbf")),
        ("no iss", without("iss")),
        ("no aud", without("aud")),
        ("not a token", "abc".to_owned()),
        ("empty", String::new()),
    ];
    for (what, token) in bad {
        let problem = bench.try_token(&token).unwrap_err();
        assert_eq!(problem.status(), 401, "{what}");
        let response = problem.into_response_with("r");
        assert_eq!(response.headers()[http::header::WWW_AUTHENTICATE], "Bearer realm=\"millrace\"", "{what}");
        let body = block_on(axum::body::to_bytes(response.into_body(), 10_000)).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["detail"], "expected a valid bearer token", "{what}");
    }
    for header in [None, Some("Basic abc"), Some("Bearer"), Some("")] {
        assert_eq!(block_on(bench.authenticator.authenticate(header)).unwrap_err().status(), 401, "{header:?}");
    }
}

#[test]
fn made_up_key_ids_cause_one_look_a_window_and_a_new_key_is_found() {
    let bench = bench();
    block_on(bench.authenticator.warm_up());
    for n in 0..50 {
        let token = TestIssuer { kid: format!("made-up-{n}"), ..bench.issuer.clone() }.sign(&bench.claims());
        assert!(bench.try_token(&token).is_err());
    }
    assert_eq!(bench.keys.loads(), 1);

    let rotated = TestIssuer { kid: "second".into(), ..bench.issuer.clone() };
    bench.keys.set(vec![bench.issuer.public_key(), rotated.public_key()]);
    bench.system.advance(KEY_REFRESH);
    assert!(bench.try_token(&rotated.sign(&bench.claims())).is_ok());
    assert!(bench.try_token(&bench.issuer.sign(&bench.claims())).is_ok(), "two keys live");
    assert_eq!(bench.keys.loads(), 2);
}

#[test]
fn a_key_that_was_taken_away_is_refused_after_its_life() {
    let bench = bench();
    let second = TestIssuer { kid: "second".into(), ..bench.issuer.clone() };
    bench.keys.set(vec![bench.issuer.public_key(), second.public_key()]);
    block_on(bench.authenticator.warm_up());
    let bearer = |issuer: &TestIssuer| bench.try_token(&issuer.sign(&bench.claims()));
    bench.keys.set(vec![second.public_key()]);
    bench.system.advance(KEY_LIFE - Duration::from_millis(1));
    assert!(bearer(&bench.issuer).is_ok(), "trusted for its life");
    assert_eq!(bench.keys.loads(), 1);
    bench.system.advance(Duration::from_millis(1));
    assert_eq!(bearer(&bench.issuer).unwrap_err().status(), 401);
    assert!(bearer(&second).is_ok());
    assert_eq!(bench.keys.loads(), 2);
}

#[test]
fn old_keys_are_kept_while_the_store_fails() {
    let bench = bench();
    block_on(bench.authenticator.warm_up());
    let second = TestIssuer { kid: "second".into(), ..bench.issuer.clone() };
    let bearer = |issuer: &TestIssuer| bench.try_token(&issuer.sign(&bench.claims()));
    bench.keys.set(vec![second.public_key()]);
    bench.keys.fail_next(usize::MAX);
    bench.system.advance(KEY_LIFE);
    assert!(bearer(&bench.issuer).is_ok(), "better than an outage");
    assert_eq!(bearer(&second).unwrap_err().status(), 503, "nobody can say whether it is good");

    bench.keys.fail_next(0);
    assert!(bearer(&second).is_ok());
    assert_eq!(bearer(&bench.issuer).unwrap_err().status(), 401, "the store says that it is gone");
}

#[test]
fn without_any_keys_nobody_is_told_that_a_token_is_bad() {
    let bench = bench();
    bench.keys.fail_next(2);
    block_on(bench.authenticator.warm_up());
    let token = bench.issuer.sign(&bench.claims());
    assert_eq!(bench.try_token(&token).unwrap_err().status(), 503);
    assert!(bench.try_token(&token).is_ok());
}
