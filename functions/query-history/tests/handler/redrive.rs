//! What becomes of dead letters that are put back, and what the caller is told.

use std::time::Duration;

use domain::access::Scope;
use domain::dead_letter::DeadLetter;
use domain::fake_objects::ReadFault;
use domain::fakes::{PutFault, active_stream, active_stream_without_raw};
use domain::letters::LetterLimits;
use domain::lifecycle::Status;
use http_edge::testing::{Answer, event};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, problem, shown};
use crate::dead_letters::{LETTERS, letter};

const RAW: &str = "dp.green.refuse-trucks.raw.1.json";

/// How long it takes until every letter has stopped.
const UNTIL_EVENING: Duration = Duration::from_secs(18 * 3_600);

impl Bench {
    async fn redrive(&self, query: &str, body: &Value) -> Answer {
        let token = self.issuer.token("waste", &[Scope::Manage]);
        self.send(&event("POST", &format!("{LETTERS}/redrive{query}"), Some(&token), Some(&body.to_string()))).await
    }

    fn put_back(&self) -> Vec<String> {
        self.raw_streams.stored(RAW).into_iter().map(|(data, _)| data).collect()
    }

    fn with_three_letters() -> Self {
        let bench = Self::new();
        bench.put_letters("a", &[letter(1), letter(2), letter(3)]);
        bench.system.advance(UNTIL_EVENING);
        bench
    }
}

fn all() -> Value {
    json!({"reason": "undecodable"})
}

fn done(redriven: u32, skipped: u32, failed: u32) -> Value {
    json!({"redriven": redriven, "skipped": skipped, "failed": failed})
}

#[tokio::test]
async fn letters_are_put_back_once_and_again_when_that_is_meant() {
    let bench = Bench::with_three_letters();
    let mut planned = done(3, 0, 0);
    planned["dry_run"] = json!(true);
    assert_eq!(bench.redrive("?dry_run=true", &all()).await.body, planned);
    assert!(bench.put_back().is_empty());
    assert_eq!(bench.redrive("", &all()).await.body, done(3, 0, 0));
    assert_eq!(bench.put_back(), ["event 1", "event 2", "event 3"]);
    assert_eq!(bench.redrive("?dry_run=false", &all()).await.body, done(0, 3, 0));
    assert_eq!(bench.redrive("", &json!({"from": "2026-01-01T12:03:00Z", "force": true})).await.body, done(1, 0, 0));
    assert_eq!(bench.raw_streams.stored(RAW)[3], ("event 3".to_owned(), "key-3".to_owned()));
    assert!(bench.letters("").await.body["values"][0]["redriven_at"].is_string());
}

#[tokio::test]
async fn letters_are_named_by_their_ids() {
    let bench = Bench::with_three_letters();
    let answer = bench.redrive("", &json!({"ids": [letter(2).id, letter(9).id]})).await;
    let mut expected = done(1, 0, 0);
    expected["not_found"] = json!([letter(9).id]);
    assert_eq!((answer.status, answer.body), (200, expected));
    assert_eq!(bench.put_back(), ["event 2"]);
}

#[tokio::test]
async fn a_redrive_that_takes_enough_in_hand_says_where_to_go_on() {
    let bench = Bench::with_letter_limits(LetterLimits { redrive: 2, ..LetterLimits::default() });
    bench.put_letters("a", &[letter(1), letter(2), letter(3)]);
    bench.system.advance(UNTIL_EVENING);
    let mut body = all();
    let first = bench.redrive("", &body).await.body;
    body["cursor"] = first["next_cursor"].clone();
    assert_eq!([&first["redriven"], &first["skipped"]], [&json!(2), &json!(0)]);
    assert_eq!(bench.redrive("", &body).await.body, done(1, 0, 0));
}

#[tokio::test]
async fn letters_that_the_raw_stream_does_not_take_are_failed_and_free_again() {
    let bench = Bench::with_three_letters();
    bench.raw_streams.script(vec![PutFault::PartialFailure(vec![0, 1]); 5]);
    assert_eq!(bench.redrive("", &all()).await.body, done(1, 0, 2));
    assert_eq!(bench.redrive("", &all()).await.body, done(2, 1, 0));
    assert_eq!(bench.put_back(), ["event 3", "event 1", "event 2"]);
}

#[tokio::test]
async fn every_fault_of_a_body_is_named_at_once() {
    let bench = Bench::with_three_letters();
    let answer = bench.redrive("", &json!({"ids": ["x"], "from": "a", "cursor": "c", "force": "yes", "form": 1})).await;
    assert_snapshot!(answer.shown(), @r#"
    400
    content-type: application/problem+json

    detail: "the body has fields that cannot be used"
    errors:
      {"detail":"invalid type: string \"yes\", expected a boolean","pointer":"/force"}
      {"detail":"expected a date such as 2018-02-07 or an RFC 3339 time such as 2018-02-07T12:30:00Z, got \"a\"","pointer":"/from"}
      {"detail":"expected either ids, or from, to and reason","pointer":"/ids"}
      {"detail":"expected a next_cursor of this stream's dead letters","pointer":"/cursor"}
      {"detail":"unknown field","pointer":"/form"}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    let pointers = async |body: Value| {
        let answer = bench.redrive("", &body).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        answer.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(pointers(json!({})).await, [""]);
    assert_eq!(pointers(json!({"force": true, "ids": null})).await, [""]);
    assert_eq!(pointers(json!({"ids": "dl-1-1"})).await, ["/ids"]);
    assert_eq!(pointers(json!({"ids": []})).await, ["/ids"]);
    assert_eq!(pointers(json!({"ids": vec!["dl-1-1"; 1_001]})).await, ["/ids"]);
    assert_eq!(pointers(json!({"ids": ["dl-1-1", "dl-1"]})).await, ["/ids/1"]);
    assert_eq!(pointers(json!({"from": "2026-01-02", "to": "2026-01-01"})).await, ["/from"]);
    assert_eq!(pointers(json!([])).await, [""]);
    assert_eq!(bench.redrive("?dry_run=1", &all()).await.body["errors"][0]["pointer"], "/dry_run");
    assert!(bench.put_back().is_empty());
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_refused_and_nothing_is_put_back() {
    let bench = Bench::with_three_letters();
    for (query, pointers) in [("?dryrun=true", vec!["/dryrun"]), ("?dry_run=true&a/b&dry-run=true", vec!["/a~1b", "/dry-run"])] {
        let mut expected = problem(400, "Bad Request", "the query parameters are not valid");
        let detail = "expected no parameter but dry_run";
        expected["body"]["errors"] = pointers.iter().map(|pointer| json!({"pointer": pointer, "detail": detail})).collect();
        assert_eq!(shown(&bench.redrive(query, &all()).await), expected, "{query}");
    }
    assert!(bench.put_back().is_empty());
}

#[tokio::test]
async fn letters_of_another_format_are_failed() {
    let bench = Bench::new();
    bench.put_letters("a", &[letter(1), DeadLetter { content_type: "application/xml".into(), ..letter(2) }]);
    bench.system.advance(UNTIL_EVENING);
    assert_eq!(bench.redrive("", &all()).await.body, done(1, 0, 1));
    assert_eq!(bench.put_back(), ["event 1"]);
}

#[tokio::test]
async fn a_stream_that_takes_no_events_back_says_why() {
    let bench = Bench::with_three_letters();
    bench.store.insert(active_stream_without_raw("refuse-trucks", "1", "waste"));
    let expected = problem(409, "Conflict", "the stream has no raw stream that dead letters could be put back on");
    assert_eq!(shown(&bench.redrive("", &all()).await), expected);
    let with_status = async |status| {
        let mut record = active_stream("refuse-trucks", "1", "waste");
        record.stack.status = status;
        bench.store.insert(record);
        shown(&bench.redrive("?dry_run=true", &all()).await)
    };
    for status in [Status::OperationFailed, Status::DeleteInProgress, Status::Inactive] {
        let detail = format!("the stream is {} and takes no events", status.as_str());
        assert_eq!(with_status(status).await, problem(409, "Conflict", &detail));
    }
    let mut expected = problem(503, "Service Unavailable", "the stream is still being created");
    expected["retry-after"] = "5".into();
    assert_eq!(with_status(Status::CreateInProgress).await, expected);
    assert_eq!(with_status(Status::UpdateInProgress).await["status"], 200);
}

#[tokio::test]
async fn reading_letters_is_not_putting_them_back() {
    let bench = Bench::with_three_letters();
    let token = bench.issuer.token("waste", &[Scope::Read, Scope::Ingest]);
    let answer = bench.send(&event("POST", &format!("{LETTERS}/redrive"), Some(&token), Some(&all().to_string()))).await;
    assert_eq!(shown(&answer), problem(403, "Forbidden", "expected a token with scope manage"));
    let answer = bench.send(&event("GET", &format!("{LETTERS}/redrive"), Some(&token), None)).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_at_once_is_503() {
    let bench = Bench::with_three_letters();
    bench.objects.script([ReadFault::Unavailable]);
    assert_eq!(bench.redrive("", &all()).await.status, 503);
    assert_eq!(bench.redrive("", &all()).await.body, done(3, 0, 0));
}
