use std::collections::HashSet;

use super::*;
use crate::fakes::{FakeIdempotencyKeys, FakeSystem, KeyCall, KeyFault, block_on};
use crate::system::System;

const CLAIM_TIME: Duration = Duration::from_secs(30);

/// Requests with one key.
#[derive(Default)]
struct Bench {
    keys: FakeIdempotencyKeys,
    system: FakeSystem,
}

impl Bench {
    fn own_claim(&self, token: &str) -> Claim {
        Claim { token: token.to_owned(), until: self.system.now() + CLAIM_TIME }
    }

    fn try_claim(&self, token: &str, body: &str) -> Result<Claimed, StoreFault> {
        block_on(self.keys.claim(&key(), &fingerprint(body), &self.own_claim(token), self.system.now()))
    }

    fn claim(&self, token: &str, body: &str) -> Claimed {
        self.try_claim(token, body).unwrap()
    }

    fn keep(&self, token: &str, answer: &KeptAnswer) {
        let until = self.system.now() + ANSWER_KEPT_FOR;
        block_on(self.keys.keep(&key(), &self.own_claim(token), answer, until)).unwrap();
    }

    fn release(&self, token: &str) {
        block_on(self.keys.release(&key(), &self.own_claim(token))).unwrap();
    }
}

fn key_of(owner: &str, id: &str, version: &str, text: &str) -> IdempotencyKey {
    let stream = StreamKey { id: id.parse().unwrap(), version: version.parse().unwrap() };
    IdempotencyKey::new(&owner.parse().unwrap(), &stream, &"is-00000000".parse().unwrap(), text)
}

fn key() -> IdempotencyKey {
    key_of("city", "refuse-trucks", "1", "a-key")
}

#[test]
fn a_stream_that_is_made_anew_has_keys_of_its_own() {
    let stream = StreamKey { id: "refuse-trucks".parse().unwrap(), version: "1".parse().unwrap() };
    let made = |ingest_id: &str| IdempotencyKey::new(&"city".parse().unwrap(), &stream, &ingest_id.parse().unwrap(), "a-key");
    assert_ne!(made("is-00000000"), made("is-00000001"));
    assert_eq!(made("is-00000000"), key());
}

fn fingerprint(body: &str) -> Fingerprint {
    Fingerprint::of(&[body.as_bytes()])
}

fn answer(body: &str) -> KeptAnswer {
    KeptAnswer { status: 202, content_type: "application/json".to_owned(), retry_after: Some(1), body: body.into() }
}

#[test]
fn a_key_is_read_with_and_without_quotes() {
    let longest = "k".repeat(255);
    let quoted = format!("\"{longest}\"");
    for (header, expected) in [
        ("abc", "abc"),
        ("\"abc\"", "abc"),
        (" \t\"abc\" ", "abc"),
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ("!#;=,~", "!#;=,~"),
        (longest.as_str(), longest.as_str()),
        (quoted.as_str(), longest.as_str()),
    ] {
        assert_eq!(parse_key(header), Ok(expected), "{header}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let quoted = ["\"", "\"\"", "\"abc", "abc\"", "a\"b", "\"a\"b\"", "\"a\\\"b\"", "\" a\"", "\"a\";b=1"];
    let bare = ["", " ", "a\\b", "a b", "a\tb", "a\u{7f}", "å"];
    for bad in quoted.into_iter().chain(bare) {
        assert!(parse_key(bad).is_err(), "{bad}");
    }
    assert!(parse_key(&"k".repeat(256)).is_err());
}

#[test]
fn a_refusal_says_what_was_expected_and_shows_no_more_than_the_beginning_of_what_was_got() {
    let expected = "expected 1 to 255 visible ASCII characters, no backslash, bare or in double quotes";
    assert_eq!(parse_key("a b").unwrap_err().to_string(), format!("{expected}, got \"a b\""));
    let refusal = parse_key(&"å".repeat(1_000)).unwrap_err();
    assert_eq!(refusal.to_string(), format!("{expected}, got \"{}\"", "å".repeat(100)));
}

#[test]
fn a_key_is_of_one_owner_one_stream_and_one_text() {
    let keys = [
        ("city", "refuse-trucks", "1", "abc"),
        ("town", "refuse-trucks", "1", "abc"),
        ("city", "trucks", "1", "abc"),
        ("city", "refuse-trucks", "2", "abc"),
        ("city", "refuse-trucks", "1", "abd"),
        ("city", "refuse-trucks", "1", "1abc"),
        ("city", "refuse-trucks", "11", "abc"),
    ];
    let keys: HashSet<String> = keys.map(|(owner, id, version, text)| key_of(owner, id, version, text).to_string()).into();
    assert_eq!((keys.len(), keys.iter().all(|key| key.len() == 64)), (7, true));
    assert_eq!(key(), key());
}

#[test]
fn a_fingerprint_is_of_its_parts_and_of_their_ends() {
    let of = |parts: &[&str]| Fingerprint::of(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>());
    let fingerprints = [of(&["ab", "c"]), of(&["a", "bc"]), of(&["abc"]), of(&["abc", ""]), of(&[]), of(&[""])];
    let different: HashSet<[u8; 32]> = fingerprints.iter().map(|fingerprint| *fingerprint.as_bytes()).collect();
    assert_eq!(different.len(), fingerprints.len());
    assert_eq!(Fingerprint::from_bytes(*of(&["a"]).as_bytes()), of(&["a"]));
}

#[test]
fn the_same_request_gets_the_first_answer_again_for_a_day() {
    let bench = Bench::default();
    assert_eq!(bench.claim("one", "body"), Claimed::Mine);
    bench.keep("one", &answer("first"));
    // The claim itself would have run out by then.
    bench.system.advance(ANSWER_KEPT_FOR - Duration::from_secs(1));
    assert_eq!(bench.claim("two", "body"), Claimed::Answered(answer("first")));
    assert_eq!(bench.claim("three", "body"), Claimed::Answered(answer("first")));
    bench.system.advance(Duration::from_secs(1));
    assert_eq!(bench.claim("four", "body"), Claimed::Mine);
}

#[test]
fn another_request_with_the_key_is_told_so_before_and_after_the_answer() {
    let bench = Bench::default();
    bench.claim("one", "body");
    assert_eq!(bench.claim("two", "other"), Claimed::OtherBody);
    bench.keep("one", &answer("first"));
    assert_eq!(bench.claim("two", "other"), Claimed::OtherBody);
    bench.system.advance(ANSWER_KEPT_FOR);
    assert_eq!(bench.claim("two", "other"), Claimed::Mine);
    assert_eq!(bench.claim("three", "body"), Claimed::OtherBody);
}

#[test]
fn another_key_knows_nothing_of_it() {
    let bench = Bench::default();
    bench.claim("one", "body");
    let other = key_of("town", "refuse-trucks", "1", "a-key");
    let claimed = block_on(bench.keys.claim(&other, &fingerprint("body"), &bench.own_claim("two"), bench.system.now()));
    assert_eq!(claimed.unwrap(), Claimed::Mine);
}

#[test]
fn a_claim_holds_until_it_runs_out_and_is_then_anybodys() {
    let bench = Bench::default();
    bench.claim("one", "body");
    bench.system.advance(CLAIM_TIME - Duration::from_millis(1));
    assert_eq!(bench.claim("two", "body"), Claimed::InFlight);
    bench.system.advance(Duration::from_millis(1));
    assert_eq!(bench.claim("three", "other"), Claimed::Mine);
    assert_eq!(bench.claim("one", "body"), Claimed::OtherBody);
}

#[test]
fn who_lost_a_claim_keeps_and_releases_nothing() {
    let bench = Bench::default();
    bench.claim("one", "body");
    bench.system.advance(CLAIM_TIME);
    bench.claim("two", "body");
    bench.keep("one", &answer("late"));
    bench.release("one");
    assert_eq!(bench.claim("three", "body"), Claimed::InFlight);
    bench.keep("two", &answer("second"));
    assert_eq!(bench.claim("three", "body"), Claimed::Answered(answer("second")));
}

#[test]
fn a_claim_that_ran_out_unnoticed_still_keeps_its_answer() {
    let bench = Bench::default();
    bench.claim("one", "body");
    bench.system.advance(CLAIM_TIME);
    bench.keep("one", &answer("late"));
    assert_eq!(bench.claim("two", "body"), Claimed::Answered(answer("late")));
}

#[test]
fn a_released_key_is_free_for_any_request() {
    let bench = Bench::default();
    bench.claim("one", "body");
    bench.release("two");
    assert_eq!(bench.claim("two", "body"), Claimed::InFlight);
    bench.release("one");
    assert_eq!(bench.keys.stored(&key()), None);
    assert_eq!(bench.claim("two", "other"), Claimed::Mine);
}

#[test]
fn an_answer_is_not_released() {
    let bench = Bench::default();
    bench.claim("one", "body");
    bench.keep("one", &answer("first"));
    bench.release("one");
    assert_eq!(bench.claim("two", "body"), Claimed::Answered(answer("first")));
}

#[test]
fn nothing_is_kept_without_a_claim() {
    let bench = Bench::default();
    bench.keep("one", &answer("first"));
    assert_eq!(bench.keys.stored(&key()), None);
}

#[test]
fn a_claim_that_was_written_unheard_is_found_again() {
    let bench = Bench::default();
    bench.keys.follow([KeyFault::WriteTwice, KeyFault::Ok]);
    assert_eq!(bench.claim("one", "body"), Claimed::Mine);
    assert_eq!(bench.claim("two", "body"), Claimed::InFlight);
}

#[test]
fn the_fake_fails_as_it_is_told_and_counts() {
    let bench = Bench::default();
    bench.keys.follow([KeyFault::Fail, KeyFault::FailAfterWrite]);
    assert!(bench.try_claim("one", "body").is_err());
    assert_eq!(bench.keys.stored(&key()), None);
    assert!(bench.try_claim("one", "body").is_err());
    assert_eq!(bench.claim("two", "body"), Claimed::InFlight);
    bench.keep("one", &answer("first"));
    bench.release("one");
    assert_eq!(bench.keys.calls(), [KeyCall::Claim, KeyCall::Claim, KeyCall::Claim, KeyCall::Keep, KeyCall::Release]);
}
