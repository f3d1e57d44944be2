use super::*;
use crate::key_cache::{OWN_KEYS, PAUSE_AFTER_FAILURE};
use crate::testing::TestIssuer;
use domain::access::Scope;
use domain::fakes::{FakeApiKeys, FakeSystem, FakeVerificationKeys, api_key, block_on};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use std::time::Duration;

struct Bench {
    issuer: TestIssuer,
    keys: Arc<FakeVerificationKeys>,
    api_keys: Arc<FakeApiKeys>,
    system: Arc<FakeSystem>,
    authenticator: Authenticator,
}

fn bench() -> Bench {
    let issuer = TestIssuer::default();
    let keys = Arc::new(FakeVerificationKeys::new(vec![issuer.public_key()]));
    let system = Arc::new(FakeSystem::new());
    let api_keys = Arc::new(FakeApiKeys::default());
    let authenticator = Authenticator::new(issuer.trust(keys.clone(), api_keys.clone()), system.clone());
    Bench { issuer, keys, api_keys, system, authenticator }
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
    bench.system.advance(OWN_KEYS.window);
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
    bench.system.advance(OWN_KEYS.life - Duration::from_millis(1));
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
    bench.system.advance(OWN_KEYS.life);
    assert!(bearer(&bench.issuer).is_ok(), "better than an outage");
    assert_eq!(bearer(&second).unwrap_err().status(), 503, "nobody can say whether it is good");

    bench.keys.fail_next(0);
    bench.system.advance(OWN_KEYS.window);
    assert!(bearer(&second).is_ok());
    assert_eq!(bearer(&bench.issuer).unwrap_err().status(), 401, "the store says that it is gone");
}

#[test]
fn old_keys_are_not_kept_for_ever() {
    let bench = bench();
    block_on(bench.authenticator.warm_up());
    let token = bench.issuer.sign(&bench.claims());
    bench.keys.fail_next(usize::MAX);
    bench.system.advance(OWN_KEYS.stale_limit - Duration::from_millis(1));
    assert!(bench.try_token(&token).is_ok());
    bench.system.advance(Duration::from_millis(1));
    assert_eq!(bench.try_token(&token).unwrap_err().status(), 503);
}

#[test]
fn an_outage_is_not_one_look_a_request() {
    let bench = bench();
    block_on(bench.authenticator.warm_up());
    bench.keys.fail_next(usize::MAX);
    bench.system.advance(OWN_KEYS.life);
    for _ in 0..50 {
        assert!(bench.try_token(&bench.issuer.sign(&bench.claims())).is_ok());
    }
    assert_eq!(bench.keys.loads(), 2, "at cold start, and once since");
    bench.keys.take_time(bench.system.clone(), Duration::from_secs(15));
    bench.system.advance(OWN_KEYS.window);
    for _ in 0..50 {
        assert!(bench.try_token(&bench.issuer.sign(&bench.claims())).is_ok());
    }
    assert_eq!(bench.keys.loads(), 3, "nor when each look takes long");
}

#[test]
fn without_any_keys_nobody_is_told_that_a_token_is_bad() {
    let bench = bench();
    bench.keys.fail_next(2);
    block_on(bench.authenticator.warm_up());
    let token = bench.issuer.sign(&bench.claims());
    assert_eq!(bench.try_token(&token).unwrap_err().status(), 503);
    bench.system.advance(PAUSE_AFTER_FAILURE);
    assert_eq!(bench.try_token(&token).unwrap_err().status(), 503);
    bench.system.advance(PAUSE_AFTER_FAILURE);
    assert!(bench.try_token(&token).is_ok());
}

#[test]
fn a_header_that_brings_a_key_of_its_own_is_refused() {
    let bench = bench();
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some(bench.issuer.kid.clone());
        change(&mut header);
        bench.issuer.sign_with(&header, &bench.claims())
    };
    assert!(bench.try_token(&with(&|_| ())).is_ok());
    let url = || Some("https://keys.example.org/jwks.json".to_owned());
    let own = || jsonwebtoken::jwk::Jwk::from_encoding_key(&EncodingKey::from_secret(b"secret"), jsonwebtoken::Algorithm::HS256).ok();
    type Change<'c> = &'c dyn Fn(&mut Header);
    let changes: [(&str, Change<'_>); 6] = [
        ("jku", &|header| header.jku = url()),
        ("x5u", &|header| header.x5u = url()),
        ("x5c", &|header| header.x5c = Some(vec!["MIIB".to_owned()])),
        ("jwk", &|header| header.jwk = own()),
        ("crit", &|header| header.crit = Some(vec!["b64".to_owned()])),
        ("no kid", &|header| header.kid = None),
    ];
    for (what, change) in changes {
        assert_eq!(bench.try_token(&with(change)).unwrap_err().status(), 401, "{what}");
    }
}

#[test]
fn a_token_of_an_api_key_is_good_while_the_key_is() {
    let bench = bench();
    let key = api_key("waste", &[Scope::Ingest]);
    bench.api_keys.insert(key.clone());
    let token = bench.issuer.sign(&bench.issuer.claims_for(&key.grant(), bench.system.as_ref()));
    let caller = bench.try_token(&token).unwrap();
    assert_eq!((caller.owner, caller.api_key, caller.scopes), (key.owner.clone(), Some(key.id.clone()), key.scopes.clone()));
    for _ in 0..50 {
        assert!(bench.try_token(&token).is_ok());
    }
    assert_eq!(bench.api_keys.calls(), 1, "a warm request looks nothing up");

    bench.api_keys.revoke(&key.id);
    bench.system.advance(Duration::from_secs(59));
    let refused = bench.try_token(&token).unwrap_err();
    assert_eq!((refused.status().as_u16(), refused.cause()), (401, Some("the token's api key was revoked or rotated")));
}

#[test]
fn whether_a_key_was_revoked_is_never_guessed() {
    let bench = bench();
    let key = api_key("waste", &[Scope::Ingest]);
    bench.api_keys.insert(key.clone());
    bench.api_keys.fail_next(1);
    let token = bench.issuer.sign(&bench.issuer.claims_for(&key.grant(), bench.system.as_ref()));
    assert_eq!(bench.try_token(&token).unwrap_err().status(), 503);
    bench.system.advance(Duration::from_secs(2));
    assert!(bench.try_token(&token).is_ok());
}

#[test]
fn another_deployment_s_key_under_our_key_s_name_signs_nothing() {
    let bench = bench();
    let claims = bench.claims();
    let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
    header.kid = Some(bench.issuer.kid.clone());
    let other = EncodingKey::from_ec_der(&base64::Engine::decode(&base64::prelude::BASE64_STANDARD, crate::testing::OTHER_KEY).unwrap());
    assert_eq!(bench.try_token(&encode(&header, &claims, &other).unwrap()).unwrap_err().status(), 401);
}

#[test]
fn a_token_that_is_remembered_is_still_held_against_everything_that_can_change() {
    let bench = bench();
    let token = bench.issuer.token("waste", &[Scope::Ingest]);
    assert!(bench.try_token(&token).is_ok() && bench.try_token(&token).is_ok());
    let forged = format!("{}A", &token[..token.len() - 1]);
    let forged = if forged == token { format!("{}B", &token[..token.len() - 1]) } else { forged };
    assert_eq!(bench.try_token(&forged).unwrap_err().status(), 401, "its neighbour is not it");

    bench.keys.set(vec![]);
    assert!(bench.try_token(&token).is_ok(), "the keys are believed a while");
    bench.system.advance(OWN_KEYS.life);
    assert_eq!(bench.try_token(&token).unwrap_err().status(), 401, "its key was taken away");

    bench.keys.set(vec![bench.issuer.public_key()]);
    bench.system.advance(OWN_KEYS.window);
    assert!(bench.try_token(&token).is_ok());
    bench.system.advance(Duration::from_secs(24 * 3_600 + 6));
    assert_eq!(bench.try_token(&token).unwrap_err().status(), 401, "expired");
}
