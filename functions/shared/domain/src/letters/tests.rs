//! What readers of letters see.

use std::time::Duration;

use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::dead_letter::{DeadLetter, LetterId};
use crate::fake_objects::{FakeObjects, ReadFault};
use crate::fakes::{FakeMarks, FakeSystem, MarkCall, MarkFault, active_stream, block_on, dead_letter};
use crate::publish::Deadline;
use crate::record::StreamRecord;
use crate::system::System;

pub(super) const PREFIX: &str = "dead-letters/refuse-trucks/version=1/";
pub(super) const NOON: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

pub(super) fn stream() -> StreamRecord {
    active_stream("refuse-trucks", "1", "waste")
}

/// A clock that goes on with every look.
#[derive(Debug)]
pub(super) struct Ticking {
    pub(super) inner: FakeSystem,
    pub(super) tick: Duration,
}

impl Ticking {
    pub(super) fn new(tick: Duration) -> Self {
        Self { inner: FakeSystem::new(), tick }
    }

    /// For an invocation that begins now and may take so long.
    pub(super) fn deadline(&self, seconds: u64) -> Deadline {
        Deadline::before_invocation_end(self.inner.now() + Duration::from_secs(seconds))
    }
}

#[async_trait::async_trait]
impl System for Ticking {
    fn now(&self) -> OffsetDateTime {
        self.inner.advance(self.tick);
        self.inner.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }

    fn random(&self) -> u64 {
        self.inner.random()
    }
}

/// The folder of an hour.
pub(super) fn folder(at: OffsetDateTime) -> String {
    format!("{PREFIX}year={:04}/month={:02}/day={:02}/hour={:02}/", at.year(), u8::from(at.month()), at.day(), at.hour())
}

pub(super) fn line(letter: &DeadLetter) -> String {
    serde_json::to_string(letter).unwrap()
}

fn letter(minute: i64, event: &str) -> DeadLetter {
    dead_letter(NOON + time::Duration::minutes(minute), event, event)
}

fn put(objects: &FakeObjects, name: &str, at: OffsetDateTime, letters: &[DeadLetter]) {
    let lines: Vec<String> = letters.iter().map(line).collect();
    objects.put(&format!("{}{name}", folder(at)), at, lines.join("\n") + "\n");
}

fn reader<'l>(objects: &'l FakeObjects, marks: &'l FakeMarks, system: &'l Ticking) -> LettersReader<'l> {
    LettersReader { objects, marks, system, deadline: system.deadline(29), limits: LetterLimits::default() }
}

fn query(page_size: usize, cursor: Option<Cursor>) -> LettersQuery {
    LettersQuery { matching: Matching::default(), cursor, page_size }
}

fn names(page: &LettersPage) -> Vec<String> {
    page.values.iter().map(|shown| shown.letter.id.event().to_owned()).collect()
}

/// Three objects of two hours, five letters.
fn trucks() -> FakeObjects {
    let objects = FakeObjects::default();
    put(&objects, "a", NOON, &[letter(0, "1"), letter(1, "2")]);
    put(&objects, "b", NOON, &[letter(2, "3")]);
    put(&objects, "c", NOON + Duration::from_secs(3_600), &[letter(60, "4"), letter(61, "5")]);
    objects
}

#[test]
fn letters_come_in_the_order_of_their_objects_page_by_page() {
    let (objects, marks, system) = (trucks(), FakeMarks::default(), Ticking::new(Duration::ZERO));
    let reader = reader(&objects, &marks, &system);
    let first = block_on(reader.page(&stream(), &query(2, None))).unwrap();
    assert_eq!((names(&first), first.values[0].letter.clone()), (vec!["1".to_owned(), "2".to_owned()], letter(0, "1")));
    let second = block_on(reader.page(&stream(), &query(2, first.next))).unwrap();
    assert_eq!(names(&second), ["3", "4"]);
    let last = block_on(reader.page(&stream(), &query(2, second.next.clone()))).unwrap();
    assert_eq!((names(&last), last.next), (vec!["5".to_owned()], None));

    put(&objects, "d", NOON + Duration::from_secs(3_600), &[letter(70, "6")]);
    let again = block_on(reader.page(&stream(), &query(5, second.next))).unwrap();
    assert_eq!((names(&again), again.next), (vec!["5".to_owned(), "6".to_owned()], None), "what came behind is there");
}

#[test]
fn a_page_that_ends_with_the_last_letter_knows_it() {
    let (objects, marks, system) = (trucks(), FakeMarks::default(), Ticking::new(Duration::ZERO));
    let page = block_on(reader(&objects, &marks, &system).page(&stream(), &query(5, None))).unwrap();
    assert_eq!((page.values.len(), page.next), (5, None));
}

#[test]
fn a_stream_without_letters_has_an_empty_page() {
    let (objects, marks, system) = (FakeObjects::default(), FakeMarks::default(), Ticking::new(Duration::ZERO));
    objects.put("dead-letters/refuse-trucks/version=1.1/year=2026/month=01/day=01/hour=12/a", NOON, line(&letter(0, "1")));
    let page = block_on(reader(&objects, &marks, &system).page(&stream(), &query(5, None))).unwrap();
    assert_eq!((page.values.len(), page.next, page.effort), (0, None, LetterEffort::default()));
}

#[test]
fn letters_are_chosen_by_time_and_reason() {
    let (objects, marks, system) = (trucks(), FakeMarks::default(), Ticking::new(Duration::ZERO));
    let mut other = letter(2, "6");
    other.reason.code = "mapping".to_owned();
    put(&objects, "b2", NOON, &[other]);
    let ask = |matching: Matching| {
        let query = LettersQuery { matching, cursor: None, page_size: 10 };
        names(&block_on(reader(&objects, &marks, &system).page(&stream(), &query)).unwrap())
    };
    let minute = |minute: i64| Some(NOON + time::Duration::minutes(minute));
    assert_eq!(ask(Matching { from: minute(1), to: minute(61), reason: None }), ["2", "3", "6", "4"]);
    assert_eq!(ask(Matching { reason: Some("mapping".to_owned()), ..Matching::default() }), ["6"]);
    assert_eq!(ask(Matching { from: minute(2), reason: Some("undecodable".to_owned()), ..Matching::default() }), ["3", "4", "5"]);
}

#[test]
fn objects_of_hours_that_cannot_hold_a_letter_are_not_read() {
    let (objects, marks, system) = (FakeObjects::default(), FakeMarks::default(), Ticking::new(Duration::ZERO));
    for hours in [-2, -1, 0, 24, 25, 26] {
        let hour = NOON + time::Duration::hours(hours);
        put(&objects, "x", hour, &[letter(30, &(hours + 10).to_string())]);
    }
    let matching = Matching { from: Some(NOON + Duration::from_secs(60)), to: Some(NOON + Duration::from_secs(3_600)), reason: None };
    let query = LettersQuery { matching, cursor: None, page_size: 10 };
    let page = block_on(reader(&objects, &marks, &system).page(&stream(), &query)).unwrap();
    assert_eq!(names(&page), ["9", "10", "34", "35"]);
    assert_eq!(objects.reads().len(), 4);
}

#[test]
fn lines_that_are_no_letters_are_left_out_and_counted() {
    let (objects, marks, system) = (FakeObjects::default(), FakeMarks::default(), Ticking::new(Duration::ZERO));
    let good = line(&letter(0, "1"));
    let no_key = good.replace("\"partition_key\"", "\"other\"");
    let lines = [good.as_bytes(), b"", b"not json", b"{}", b"\xff", no_key.as_bytes(), b"  ", &good.as_bytes()[1..]];
    objects.put(&format!("{}a", folder(NOON)), NOON, lines.join(&b'\n'));
    let page = block_on(reader(&objects, &marks, &system).page(&stream(), &query(10, None))).unwrap();
    assert_eq!((names(&page), page.effort), (vec!["1".to_owned()], LetterEffort { objects: 1, skipped_lines: 5 }));
}

#[test]
fn a_page_ends_at_its_limit_of_bytes() {
    let (objects, marks, system) = (trucks(), FakeMarks::default(), Ticking::new(Duration::ZERO));
    let size = crate::history::answer_bytes(&line(&letter(0, "1"))) + 100;
    for (page_bytes, expected) in [(1, 1), (2 * size - 1, 1), (2 * size, 2), (3 * size + 10, 3)] {
        let limits = LetterLimits { page_bytes, ..LetterLimits::default() };
        let reader = LettersReader { limits, ..reader(&objects, &marks, &system) };
        let page = block_on(reader.page(&stream(), &query(10, None))).unwrap();
        assert_eq!((page.values.len(), page.next.is_some()), (expected, true), "{page_bytes}");
    }
}

#[test]
fn a_fault_of_the_bucket_or_of_the_marks_fails_the_page() {
    let (objects, marks, system) = (trucks(), FakeMarks::default(), Ticking::new(Duration::ZERO));
    let reader = reader(&objects, &marks, &system);
    objects.script([ReadFault::Ok, ReadFault::BreaksAfter(0)]);
    assert!(block_on(reader.page(&stream(), &query(10, None))).is_err());
    marks.script(MarkCall::Load, [MarkFault::Fail]);
    assert!(block_on(reader.page(&stream(), &query(10, None))).is_err());
    assert!(block_on(reader.page(&stream(), &query(10, None))).is_ok());
}

#[test]
fn a_letter_is_found_by_its_id_and_shows_what_its_event_went_through() {
    let (objects, marks, system) = (trucks(), FakeMarks::default(), Ticking::new(Duration::ZERO));
    let (stream, reader) = (stream(), reader(&objects, &marks, &system));
    let find = |id: &LetterId| block_on(reader.find(&stream, id));
    let id = letter(61, "5").id;
    assert_eq!(find(&id).unwrap(), ShownLetter { letter: letter(61, "5"), redriven_at: None });

    let before = TriedBefore { first_time: NOON - Duration::from_secs(9), attempts: 2 };
    let put_back = PutBack { at: NOON, sequence_number: "5".to_owned(), before };
    block_on(RedriveMarks::mark(&marks, &stream.ingest_id, &letter(0, "1").id, &put_back)).unwrap();
    let shown = find(&id).unwrap();
    assert_eq!((shown.letter.attempts, shown.letter.first_time, shown.redriven_at), (3, before.first_time, None));
    assert_eq!(find(&letter(0, "1").id).unwrap().redriven_at, Some(NOON));

    for missing in [letter(60, "5"), letter(61, "9")] {
        assert!(matches!(find(&missing.id), Err(LetterFault::Missing)));
    }
    objects.script([ReadFault::Unavailable]);
    assert!(matches!(find(&id), Err(LetterFault::Store(_))));
    let late = LettersReader { deadline: system.deadline(0), ..reader };
    assert!(matches!(block_on(late.find(&stream, &id)), Err(LetterFault::OutOfTime)));
}

/// Puts letters into objects as they are numbered, each at or behind its time, and returns them in the order of the objects.
pub(super) fn store(places: &[(u8, u8)], objects: &FakeObjects) -> Vec<DeadLetter> {
    let mut contents: std::collections::BTreeMap<String, Vec<DeadLetter>> = std::collections::BTreeMap::new();
    for (number, (hour, object)) in places.iter().enumerate() {
        let at = NOON + time::Duration::hours(i64::from(*hour));
        let letter = dead_letter(at, &number.to_string(), &format!("event {number}"));
        contents.entry(format!("{}{object}", folder(at))).or_default().push(letter);
    }
    for (key, letters) in &contents {
        let lines: Vec<String> = letters.iter().map(line).collect();
        objects.put(key, NOON, lines.join("\n"));
    }
    contents.into_values().flatten().collect()
}

proptest! {
    /// Whatever lies where, however large a page is and whenever time runs out: all pages together are all letters, each once, in order.
    #[test]
    fn pages_cover_every_letter_once(
        places in prop::collection::vec((0_u8..4, 0_u8..5), 0..60),
        page_size in 1_usize..20,
        listing_size in 1_usize..6,
        objects_at_once in 1_usize..5,
        page_bytes in prop_oneof![Just(usize::MAX), 1_usize..3_000],
        tick_ms in prop_oneof![Just(0_u64), 100_u64..900],
        from in prop::option::of(0_i64..4),
    ) {
        let objects = FakeObjects::with_listings_of(listing_size);
        let from = from.map(|hours| NOON + time::Duration::hours(hours));
        let stored = store(&places, &objects);
        let expected: Vec<&DeadLetter> = stored.iter().filter(|letter| from.is_none_or(|from| from <= letter.time)).collect();
        let (marks, system) = (FakeMarks::default(), Ticking::new(Duration::from_millis(tick_ms)));
        let limits = LetterLimits { page_bytes, objects_at_once, ..LetterLimits::default() };
        let mut found = Vec::new();
        let mut cursor = None;
        for _ in 0..200 {
            let matching = Matching { from, ..Matching::default() };
            let reader = LettersReader { objects: &objects, marks: &marks, system: &system, deadline: system.deadline(3), limits };
            let page = block_on(reader.page(&stream(), &LettersQuery { matching, cursor: cursor.take(), page_size })).unwrap();
            prop_assert!(page.values.len() <= page_size);
            found.extend(page.values.into_iter().map(|shown| shown.letter));
            cursor = page.next.map(|next| Cursor::parse(&next.to_text(), PREFIX).unwrap());
            if cursor.is_none() {
                break;
            }
        }
        prop_assert_eq!(cursor, None, "the end is reached");
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    }
}
