//! What is shown of dead letters.

use std::time::Duration;

use domain::access::Scope;
use domain::dead_letter::DeadLetter;
use domain::fake_objects::ReadFault;
use domain::fakes::{MarkCall, MarkFault, active_stream, dead_letter};
use domain::letters::{LetterLimits, MarkReader, PutBack, RedriveMarks, TriedBefore};
use domain::lifecycle::Status;
use http_edge::testing::{Answer, event};
use insta::assert_snapshot;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::bench::{Bench, problem, shown};

pub(crate) const LETTERS: &str = "/streams/refuse-trucks/1/dead-letters";
pub(crate) const STOPPED: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

/// The n-th letter, which stopped in the n-th minute behind noon.
pub(crate) fn letter(n: u32) -> DeadLetter {
    dead_letter(STOPPED + Duration::from_secs(u64::from(n) * 60), &n.to_string(), &format!("event {n}"))
}

impl Bench {
    /// Stores letters in one object.
    pub(crate) fn put_letters(&self, name: &str, letters: &[DeadLetter]) {
        let lines: Vec<String> = letters.iter().map(|letter| serde_json::to_string(letter).unwrap()).collect();
        let key = format!("dead-letters/refuse-trucks/version=1/year=2026/month=01/day=01/hour=12/{name}");
        self.objects.put(&key, STOPPED, lines.join("\n"));
    }

    /// Asks for letters with a token that may read.
    pub(crate) async fn letters(&self, rest: &str) -> Answer {
        let token = self.issuer.token("waste", &[Scope::Read]);
        self.send(&event("GET", &format!("{LETTERS}{rest}"), Some(&token), None)).await
    }
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["values"].as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_letter_is_shown_whole_in_a_list_and_alone() {
    let bench = Bench::new();
    bench.put_letters("a", &[DeadLetter { path: Some("pipeline.processors[0].mapping".into()), ..letter(1) }]);
    let list = bench.letters("").await;
    assert_snapshot!(serde_json::to_string_pretty(&list.body).unwrap(), @r#"
    {
      "values": [
        {
          "attempts": 1,
          "content_type": "application/json",
          "first_time": "2026-01-01T12:01:00Z",
          "id": "dl-1767268860000-1",
          "original_base64": "ZXZlbnQgMQ==",
          "partition_key": "key-1",
          "path": "pipeline.processors[0].mapping",
          "reason": {
            "code": "undecodable",
            "detail": "not a JSON object"
          },
          "request_id": "request-1",
          "source": "pipeline",
          "stream": "refuse-trucks/1",
          "time": "2026-01-01T12:01:00Z"
        }
      ]
    }
    "#);
    let alone = bench.letters("/dl-1767268860000-1").await;
    assert_eq!((alone.status, &alone.body), (200, &list.body["values"][0]));
    assert_eq!(alone.body["original_base64"], "ZXZlbnQgMQ==");
}

#[tokio::test]
async fn a_letter_shows_its_redrive_and_those_of_its_event_before() {
    let bench = Bench::new();
    bench.put_letters("a", &[letter(1), letter(2)]);
    let stream = "is-00000000".parse().unwrap();
    let before = TriedBefore { first_time: datetime!(2025-12-01 0:00 UTC), attempts: 2 };
    let put_back = PutBack { at: datetime!(2026-01-02 0:00 UTC), sequence_number: "2".into(), before };
    bench.marks.mark(&stream, &letter(1).id, &put_back).await.unwrap();
    assert_eq!(bench.marks.load(&stream, &[&letter(1).id]).await.unwrap()[0].redriven_at, Some(put_back.at));
    let values = bench.letters("").await.body["values"].clone();
    let member = |name: &str| [values[0][name].clone(), values[1][name].clone()];
    assert_eq!(member("redriven_at"), [json!("2026-01-02T00:00:00Z"), Value::Null]);
    assert_eq!(member("attempts"), [json!(1), json!(3)]);
    assert_eq!(member("first_time"), [json!("2026-01-01T12:01:00Z"), json!("2025-12-01T00:00:00Z")]);
}

#[tokio::test]
async fn pages_follow_one_another_by_their_cursors() {
    let bench = Bench::new();
    bench.put_letters("a", &[letter(1), letter(2), letter(3)]);
    bench.put_letters("b", &[letter(4), letter(5)]);
    let mut found = Vec::new();
    let mut rest = "?page_size=2".to_owned();
    for _ in 0..3 {
        let page = bench.letters(&rest).await;
        found.extend(ids(&page));
        rest = format!("?page_size=2&cursor={}", page.body["next_cursor"].as_str().unwrap_or("none"));
    }
    assert_eq!(found, [1, 2, 3, 4, 5].map(|n| letter(n).id.to_string()));
    assert!(rest.ends_with("=none"), "the last page says that it is");
}

#[tokio::test]
async fn letters_are_chosen_by_time_and_reason() {
    let bench = Bench::new();
    let mut mapped = letter(3);
    mapped.reason.code = "mapping".into();
    bench.put_letters("a", &[letter(1), letter(2), mapped, letter(4)]);
    let count = async |rest: &str| ids(&bench.letters(rest).await).len();
    assert_eq!(count("?from=2026-01-01T12:02:00Z&to=2026-01-01T12:04:00Z").await, 2);
    assert_eq!(count("?from=2026-01-01&to=2026-01-01").await, 4);
    assert_eq!(count("?from=2026-01-02").await, 0);
    assert_eq!(count("?reason=mapping").await, 1);
    assert_eq!(count("?reason=mapp").await, 0);
}

#[tokio::test]
async fn a_stream_that_never_had_letters_has_an_empty_list_whatever_its_status() {
    let bench = Bench::new();
    for status in [Status::Active, Status::OperationFailed, Status::DeleteInProgress] {
        let mut record = active_stream("refuse-trucks", "1", "waste");
        record.stack.status = status;
        bench.store.insert(record);
        let answer = bench.letters("").await;
        assert_eq!((answer.status, answer.body), (200, json!({"values": []})));
    }
}

#[tokio::test]
async fn every_bad_parameter_is_named_at_once() {
    let answer = Bench::new().letters("?from=a&to=b&cursor=c&page_size=0&page=1&reason=").await;
    let pointers: Vec<&Value> = answer.body["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(
        (answer.status, pointers),
        (400, ["/page", "/from", "/to", "/reason", "/cursor", "/page_size"].map(|name| json!(name)).iter().collect())
    );
}

#[tokio::test]
async fn a_cursor_of_another_stream_is_refused() {
    let bench = Bench::new();
    bench.store.insert(active_stream("refuse-trucks", "1.1", "waste"));
    bench.put_letters("a", &[letter(1), letter(2)]);
    let cursor = bench.letters("?page_size=1").await.body["next_cursor"].as_str().unwrap().to_owned();
    let token = bench.issuer.token("waste", &[Scope::Read]);
    let answer = bench.send(&event("GET", &format!("/streams/refuse-trucks/1.1/dead-letters?cursor={cursor}"), Some(&token), None)).await;
    let expected = json!([{"pointer": "/cursor", "detail": "expected a next_cursor of this stream's dead letters"}]);
    assert_eq!((answer.status, &answer.body["errors"]), (400, &expected));
}

#[tokio::test]
async fn a_page_that_fills_an_answer_ends_early() {
    let bench = Bench::with_letter_limits(LetterLimits { page_bytes: 1_200, ..LetterLimits::default() });
    bench.put_letters("a", &[letter(1), letter(2), letter(3)]);
    let page = bench.letters("").await;
    assert_eq!(ids(&page).len(), 2);
    let cursor = page.body["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&bench.letters(&format!("?cursor={cursor}")).await), [letter(3).id.to_string()]);
}

#[tokio::test]
async fn a_letter_that_is_not_there_is_404_like_a_name_that_none_can_have() {
    let bench = Bench::new();
    bench.put_letters("a", &[letter(1)]);
    for id in ["dl-1767268860000-2", "dl-1767268860001-1", "dl-1", "nonsense"] {
        let answer = bench.letters(&format!("/{id}")).await;
        assert_eq!(shown(&answer), problem(404, "Not Found", "there is no such dead letter"), "{id}");
    }
}

#[tokio::test]
async fn a_bucket_or_table_that_does_not_answer_is_503() {
    let mut expected = problem(503, "Service Unavailable", "a service that this request needs does not answer; try again");
    expected["retry-after"] = "1".into();
    for rest in ["".to_owned(), format!("/{}", letter(1).id)] {
        let bench = Bench::new();
        bench.put_letters("a", &[letter(1)]);
        bench.objects.script([ReadFault::Unavailable]);
        assert_eq!(shown(&bench.letters(&rest).await), expected);
        bench.marks.script(MarkCall::Load, [MarkFault::Fail]);
        assert_eq!(shown(&bench.letters(&rest).await), expected);
        assert_eq!(bench.letters(&rest).await.status, 200);
    }
}
