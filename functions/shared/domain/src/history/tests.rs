use super::*;
use crate::declaration::{Declaration, Leniency};
use crate::fake_objects::{FakeObjects, ReadFault, with_s3_sink};
use crate::fakes::{FakeSystem, active_stream, block_on};
use crate::publish::Deadline;
use crate::record::rfc3339_text;
use crate::system::System;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use time::macros::datetime;
use time::{OffsetDateTime, UtcOffset};

const PREFIX: &str = "processed/red/refuse-trucks/version=1/";
const NOON: OffsetDateTime = datetime!(2018-02-07 12:00 UTC);

fn record(document: &str, sink: Option<Status>) -> StreamRecord {
    let mut record = active_stream("refuse-trucks", "1", "waste");
    record.document = Declaration::parse(document, Leniency::Strict).unwrap().document;
    match sink {
        Some(status) => with_s3_sink(record, status),
        None => record,
    }
}

fn timed() -> StreamRecord {
    record(r#"{"input": {"timestamp": "$.time"}}"#, Some(Status::Active))
}

fn partition(at: OffsetDateTime) -> String {
    format!("{PREFIX}year={:04}/month={:02}/day={:02}/hour={:02}/", at.year(), u8::from(at.month()), at.day(), at.hour())
}

fn query(from: OffsetDateTime, to: OffsetDateTime, page: u32, page_size: usize) -> HistoryQuery {
    HistoryQuery { range: TimeRange { from, to }, page, page_size }
}

fn all(page: u32, page_size: usize) -> HistoryQuery {
    query(datetime!(2018-01-01 0:00 UTC), datetime!(2018-12-31 0:00 UTC), page, page_size)
}

fn read(objects: &FakeObjects, limits: HistoryLimits, record: &StreamRecord, query: &HistoryQuery) -> Result<Page, HistoryFault> {
    let system = FakeSystem::new();
    let deadline = Deadline::before_invocation_end(system.now() + Duration::from_secs(30));
    block_on(HistoryReader { objects, system: &system, deadline, limits }.read(record, query))
}

fn texts(page: &Page) -> Vec<&str> {
    page.values.iter().map(|value| value.get()).collect()
}

fn few_bytes() -> HistoryLimits {
    HistoryLimits { retained_bytes: 60, ..HistoryLimits::default() }
}

/// Three objects, five events, out of order.
fn trucks() -> FakeObjects {
    let objects = FakeObjects::default();
    let second = "{\"time\":\"2018-02-07T12:00:02Z\",\"n\":1.0}\n{\"time\":\"2018-02-07T12:00:00Z\",\"n\":12345678901234567890123}\n";
    objects.put(&format!("{}a", partition(NOON)), NOON, second);
    objects.put(&format!("{}b", partition(NOON)), NOON, "{\"time\":\"2018-02-07T12:00:01Z\"}\n{\"time\":\"2018-02-07T12:00:02Z\"}\n");
    objects.put(&format!("{}c", partition(NOON)), NOON, "{\"n\":\"offset\",\"time\":\"2018-02-07T23:30:00+11:30\"}");
    objects
}

#[test]
fn events_are_sorted_by_time_then_place_and_keep_their_bytes() {
    let sorted = [
        r#"{"time":"2018-02-07T12:00:00Z","n":12345678901234567890123}"#,
        r#"{"n":"offset","time":"2018-02-07T23:30:00+11:30"}"#,
        r#"{"time":"2018-02-07T12:00:01Z"}"#,
        r#"{"time":"2018-02-07T12:00:02Z","n":1.0}"#,
        r#"{"time":"2018-02-07T12:00:02Z"}"#,
    ];
    for (limits, was_reread) in [(HistoryLimits::default(), false), (few_bytes(), true)] {
        let page = read(&trucks(), limits, &timed(), &all(1, 10)).unwrap();
        assert_eq!(texts(&page), sorted);
        assert_eq!((page.page, page.total_pages), (1, 1));
        assert_eq!(page.effort, Effort { objects: 3, matches: 5, skipped_lines: 0, was_reread });
    }
}

#[test]
fn a_page_past_the_end_and_an_empty_range_are_empty_pages() {
    let page = read(&trucks(), HistoryLimits::default(), &timed(), &all(4, 2)).unwrap();
    assert_eq!((texts(&page).len(), page.page, page.total_pages), (0, 4, 3));
    let objects = trucks();
    let page = read(&objects, HistoryLimits::default(), &timed(), &query(NOON, NOON, 1, 10)).unwrap();
    assert_eq!((texts(&page).len(), page.page, page.total_pages), (0, 1, 0));
    assert_eq!(objects.listings(), 0, "nothing needs to be looked for");
    let long_after = NOON + Duration::from_secs(864_000);
    let page = read(&objects, few_bytes(), &timed(), &query(long_after, long_after + Duration::from_secs(1), 1, 10)).unwrap();
    assert_eq!((texts(&page).len(), page.total_pages), (0, 0));
}

#[test]
fn lines_that_are_no_event_with_a_time_are_skipped_and_counted() {
    let objects = FakeObjects::default();
    let lines = [
        &b"{\"time\":\"2018-02-07T12:00:00Z\"}\r"[..],
        b"",
        b"  ",
        b"not json",
        b"{\"time\":\"2018-02-07T12:00:00Z\"} trailing",
        b"[{\"time\":\"2018-02-07T12:00:00Z\"}]",
        b"{\"time\":\"yesterday\"}",
        b"{\"time\":null}",
        b"{}",
        b"{\"time\":\"2018-02-07T12:00:00Z\",\"n\":\"\xff\"}",
    ];
    objects.put(&format!("{}a", partition(NOON)), NOON, lines.join(&b'\n'));
    objects.put(&format!("{}empty", partition(NOON)), NOON, "");
    let page = read(&objects, HistoryLimits::default(), &timed(), &all(1, 10)).unwrap();
    assert_eq!(texts(&page), [r#"{"time":"2018-02-07T12:00:00Z"}"#]);
    assert_eq!((page.effort.skipped_lines, page.effort.objects), (7, 1));

    let page = read(&objects, HistoryLimits::default(), &record("{}", Some(Status::Active)), &all(1, 10)).unwrap();
    assert_eq!(page.values.len(), 4, "any object will do where the time is the object's");
}

#[test]
fn without_a_timestamp_the_time_is_the_objects_and_others_are_not_read() {
    let objects = FakeObjects::default();
    let partition = partition(datetime!(2018-02-07 23:00 UTC));
    let midnight = datetime!(2018-02-08 0:00 UTC);
    objects.put(&format!("{partition}a"), midnight - Duration::from_secs(1), "{\"n\":1}\n");
    objects.put(&format!("{partition}b"), midnight, "{\"n\":2}\n{\"n\":3}\n");
    let day = query(midnight, midnight + Duration::from_secs(86_400), 1, 10);
    let page = read(&objects, HistoryLimits::default(), &record("{}", Some(Status::Active)), &day).unwrap();
    assert_eq!(texts(&page), [r#"{"n":2}"#, r#"{"n":3}"#]);
    assert_eq!(objects.reads(), [format!("{partition}b")]);
}

#[test]
fn a_stream_without_a_working_sink_has_no_history() {
    let reread = |sink| read(&FakeObjects::default(), HistoryLimits::default(), &record("{}", sink), &all(1, 10)).unwrap_err().to_string();
    assert_eq!(reread(None), "history is read from the objects of the sink s3, which is not enabled");
    assert_eq!(reread(Some(Status::Inactive)), "history is read from the objects of the sink s3, which is not enabled");
    for status in [Status::CreateInProgress, Status::DeleteInProgress, Status::OperationFailed] {
        let expected = format!("history is read from the objects of the sink s3, which is {}; expected ACTIVE", status.as_str());
        assert_eq!(reread(Some(status)), expected);
    }
}

#[test]
fn a_fault_of_the_bucket_fails_the_query_in_either_pass() {
    for script in [vec![ReadFault::Unavailable], vec![ReadFault::Ok, ReadFault::BreaksAfter(1)]] {
        let objects = trucks();
        objects.script(script);
        assert!(matches!(read(&objects, HistoryLimits::default(), &timed(), &all(1, 10)), Err(HistoryFault::Store(_))));
    }
    let objects = trucks();
    objects.script([ReadFault::Ok, ReadFault::Ok, ReadFault::Ok, ReadFault::BreaksAfter(0)]);
    assert!(matches!(read(&objects, few_bytes(), &timed(), &all(1, 10)), Err(HistoryFault::Store(_))));
}

#[test]
fn too_many_matches_and_too_large_a_page_say_what_to_ask_for() {
    let refused = |limits| read(&trucks(), limits, &timed(), &all(1, 10)).unwrap_err().to_string();
    let few = HistoryLimits { matches: 4, ..HistoryLimits::default() };
    assert_eq!(refused(few), "expected a range of at most 4 events; ask for a narrower one");
    let small = HistoryLimits { page_bytes: 100, ..few_bytes() };
    assert_eq!(refused(small), "expected a page of at most 100 bytes, got 242; ask for a smaller page_size");
}

#[test]
fn a_query_stops_when_its_time_is_up() {
    let objects = trucks();
    let system = FakeSystem::new();
    let deadline = Deadline::before_invocation_end(system.now());
    let reader = HistoryReader { objects: &objects, system: &system, deadline, limits: HistoryLimits::default() };
    assert!(matches!(block_on(reader.read(&timed(), &all(1, 10))), Err(HistoryFault::OutOfTime)));
    assert!(objects.reads().is_empty());
}

#[test]
fn a_second_pass_reads_only_the_objects_of_the_page() {
    let objects = trucks();
    let page = read(&objects, few_bytes(), &timed(), &all(2, 4)).unwrap();
    assert_eq!(texts(&page), [r#"{"time":"2018-02-07T12:00:02Z"}"#]);
    assert_eq!(objects.reads().len(), 4);
    assert!(objects.reads()[3].ends_with('b'));
}

#[test]
fn the_events_of_an_xml_stream_are_read_as_cbor_in_either_pass() {
    let objects = trucks();
    let page = read(&objects, few_bytes(), &record("{input: {format: xml}}", Some(Status::Active)), &all(1, 10)).unwrap();
    assert_eq!((page.values.len(), page.effort.was_reread), (5, true));
    assert_eq!(objects.forms(), [EventForm::Cbor; 6]);
    read(&objects, few_bytes(), &timed(), &all(1, 10)).unwrap();
    assert_eq!(objects.forms()[6..], [EventForm::Lines; 6]);
}

/// How the events of a generated stream are written.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Rfc3339,
    EpochSeconds,
    Arrival,
}

#[derive(Debug, Clone)]
struct Event {
    second: i64,
    offset_minutes: i32,
    object: u8,
    is_bad: bool,
}

fn any_event() -> impl Strategy<Value = Event> {
    // Few different seconds, so that many are equal; three days around the start, so that some lie outside.
    let second = prop_oneof![-3_i64..3, -150_000_i64..150_000];
    (second, -1_439_i32..=1_439, 0_u8..4, prop::bool::weighted(0.1)).prop_map(|(second, offset_minutes, object, is_bad)| Event {
        second,
        offset_minutes,
        object,
        is_bad,
    })
}

/// Puts events where Firehose would, and returns what a query should find: time, key, line, bytes.
fn store(events: &[Event], kind: Kind, listing_size: usize) -> (FakeObjects, Vec<(OffsetDateTime, String, usize, String)>) {
    let mut contents: BTreeMap<String, (OffsetDateTime, Vec<String>)> = BTreeMap::new();
    let mut expected = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let utc = NOON + time::Duration::seconds(event.second);
        let local = utc.to_offset(UtcOffset::from_whole_seconds(event.offset_minutes * 60).unwrap());
        // Buffering: up to a day between arrival and object.
        let arrived = utc - time::Duration::minutes(i64::from(event.offset_minutes.abs()));
        let (folder, good) = match kind {
            Kind::Rfc3339 => {
                let written = local.format(&time::format_description::well_known::Rfc3339).unwrap();
                (partition(local), format!("{{\"n\":{number},\"time\":{written:?}}}"))
            }
            Kind::EpochSeconds => (partition(utc), format!("{{\"time\":{}.0,\"n\":{number}}}", utc.unix_timestamp())),
            Kind::Arrival => (partition(arrived), format!("{{\"n\":{number}}}")),
        };
        // An object has one time: without a timestamp each of ours holds the events of one second.
        let key = match kind {
            Kind::Arrival => format!("{folder}{}-{}", event.object, rfc3339_text(utc)),
            Kind::Rfc3339 | Kind::EpochSeconds => format!("{folder}{}", event.object),
        };
        let (_, lines) = contents.entry(key.clone()).or_insert((utc, Vec::new()));
        if event.is_bad {
            lines.push(format!("bad {number}"));
        } else {
            expected.push((utc, key, lines.len(), good.clone()));
            lines.push(good);
        }
    }
    let objects = FakeObjects::with_listings_of(listing_size);
    for (key, (at, lines)) in contents {
        objects.put(&key, at, lines.join("\n") + "\n");
    }
    expected.sort();
    (objects, expected)
}

proptest! {
    /// Whatever lies in whichever objects, and however it is read: all pages together are the events of the range, in order.
    #[test]
    fn pages_concatenated_are_the_sorted_events_of_the_range(
        events in prop::collection::vec(any_event(), 0..60),
        kind in prop_oneof![Just(Kind::Rfc3339), Just(Kind::EpochSeconds), Just(Kind::Arrival)],
        from in -100_000_i64..100_000,
        length in prop_oneof![0_i64..5, 0_i64..200_000],
        page_size in 1_usize..30,
        listing_size in 1_usize..10,
        retained_bytes in prop_oneof![Just(0_usize), 0_usize..3_000, Just(HISTORY_RETAINED_BYTES)],
        objects_at_once in 1_usize..5,
    ) {
        let (objects, stored) = store(&events, kind, listing_size);
        let stream = match kind {
            Kind::Rfc3339 => timed(),
            Kind::EpochSeconds => record(r#"{"input": {"timestamp": "$.time", "timestamp_format": "epoch_seconds"}}"#, Some(Status::Active)),
            Kind::Arrival => record("{}", Some(Status::Active)),
        };
        let limits = HistoryLimits { retained_bytes, objects_at_once, ..HistoryLimits::default() };
        let (from, to) = (NOON + time::Duration::seconds(from), NOON + time::Duration::seconds(from + length));
        let expected: Vec<&str> = stored.iter().filter(|(at, ..)| from <= *at && *at < to).map(|(.., text)| text.as_str()).collect();
        let mut found = Vec::new();
        let total_pages = expected.len().div_ceil(page_size);
        for page in 1..=total_pages + 1 {
            let page = read(&objects, limits, &stream, &query(from, to, page as u32, page_size)).unwrap();
            prop_assert_eq!(page.total_pages, total_pages);
            found.extend(texts(&page).into_iter().map(str::to_owned));
        }
        prop_assert_eq!(found, expected);
    }
}
