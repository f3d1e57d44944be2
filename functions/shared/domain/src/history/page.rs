//! The two passes of a query: find and sort what matches, then get the events of one page.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream::{self, FuturesUnordered, StreamExt, TryStreamExt};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::field_path::FieldPath;
use crate::history::matches::{Match, Matches, Place};
use crate::history::objects::{EventForm, KeyRange, Line, StoredObject, StoredObjects, Walk};
use crate::history::{HistoryFault, HistoryLimits, HistoryQuery, TimeRange, check_readable};
use crate::ingest::event_time;
use crate::input::TimestampFormat;
use crate::names::processed_prefix;
use crate::publish::Deadline;
use crate::record::StreamRecord;
use crate::store::StoreFault;
use crate::system::System;

/// Lines between two looks at the clock.
const LINES_PER_LOOK: u32 = 1_024;

/// A page of events, each its own bytes, sorted by time.
#[derive(Debug)]
pub struct Page {
    /// The events.
    pub values: Vec<Box<RawValue>>,
    /// Its number, counted from 1.
    pub page: u32,
    /// How many pages there are; none for an empty range.
    pub total_pages: usize,
    /// What it took, for the log.
    pub effort: Effort,
}

/// What a query took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Objects read in the first pass.
    pub objects: usize,
    /// Events in the range.
    pub matches: usize,
    /// Lines that are no event with a time, and were left out.
    pub skipped_lines: usize,
    /// Whether the page's events were read a second time.
    pub was_reread: bool,
}

/// Answers questions about a stream's past.
pub struct HistoryReader<'h> {
    /// What the sink wrote.
    pub objects: &'h dyn StoredObjects,
    /// The clock.
    pub system: &'h dyn System,
    /// When to give up.
    pub deadline: Deadline,
    /// How much may be held and read.
    pub limits: HistoryLimits,
}

impl HistoryReader<'_> {
    /// Returns one page of the events of a range, sorted by time, and by place where times are equal.
    ///
    /// # Errors
    /// See [`HistoryFault`].
    pub async fn read(&self, record: &StreamRecord, query: &HistoryQuery) -> Result<Page, HistoryFault> {
        check_readable(record)?;
        let (objects, mut matches) = self.scan(record, &query.range).await?;
        let total_pages = matches.count().div_ceil(query.page_size);
        let mut effort = Effort { objects, matches: matches.count(), skipped_lines: matches.skipped_lines, was_reread: false };
        let events = matches.page(query.page, query.page_size)?.to_vec();
        let retained: Option<Vec<Box<RawValue>>> = events.iter().map(|event| matches.text(event).and_then(raw)).collect();
        let values = match retained {
            Some(values) => values,
            None => {
                effort.was_reread = true;
                self.reread(&events, &matches, form_of(record)).await?
            }
        };
        Ok(Page { values, page: query.page, total_pages, effort })
    }

    /// Finds what matches in all objects of the days in question; also says how many objects were read.
    async fn scan(&self, record: &StreamRecord, range: &TimeRange) -> Result<(usize, Matches), HistoryFault> {
        let matches = Mutex::new(Matches::new(self.limits));
        let mut read = 0;
        if range.from < range.to {
            let prefix = processed_prefix(&record.key, record.document.access_rights.confidentiality());
            let scan = Scan { reader: self, range, form: form_of(record), clock: EventClock::of(record), matches: &matches };
            let mut walk = Walk::new(self.objects, KeyRange::new(&prefix, range));
            let mut running = FuturesUnordered::new();
            let mut number = 0;
            loop {
                while running.len() < self.limits.objects_at_once {
                    let Some(object) = walk.next().await? else { break };
                    self.check_time()?;
                    if scan.may_hold_matches(&object) {
                        running.push(scan.object(object, number));
                        read += 1;
                    }
                    number += 1;
                }
                match running.next().await {
                    Some(done) => done?,
                    None => break,
                }
            }
        }
        Ok((read, matches.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Reads the events of a page again, each object once.
    async fn reread(&self, events: &[Match], matches: &Matches, form: EventForm) -> Result<Vec<Box<RawValue>>, HistoryFault> {
        let mut wanted: BTreeMap<u32, BTreeMap<u32, usize>> = BTreeMap::new();
        for (slot, event) in events.iter().enumerate() {
            wanted.entry(event.place.object).or_default().insert(event.place.line, slot);
        }
        let reads: Vec<_> = wanted.into_iter().map(|(object, lines)| self.read_lines(matches.key(object), form, lines)).collect();
        let read: Vec<Vec<(usize, Box<RawValue>)>> =
            stream::iter(reads).buffer_unordered(self.limits.objects_at_once).try_collect().await?;
        let mut sorted: Vec<(usize, Box<RawValue>)> = read.into_iter().flatten().collect();
        sorted.sort_unstable_by_key(|(slot, _)| *slot);
        if sorted.len() == events.len() {
            Ok(sorted.into_iter().map(|(_, value)| value).collect())
        } else {
            Err(StoreFault::new("an object changed while it was read").into())
        }
    }

    /// Reads some lines of one object: line number → slot.
    async fn read_lines(
        &self,
        key: Option<&str>,
        form: EventForm,
        mut lines: BTreeMap<u32, usize>,
    ) -> Result<Vec<(usize, Box<RawValue>)>, HistoryFault> {
        let Some(key) = key else { return Ok(Vec::new()) };
        self.check_time()?;
        let mut values = Vec::with_capacity(lines.len());
        let mut number = 0;
        let mut visit = |line: Line<'_>| {
            let slot = lines.remove(&number);
            number += 1;
            if let (Some(slot), Line::Text(text)) = (slot, line) {
                values.extend(raw(text).map(|value| (slot, value)));
            }
            if lines.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.objects.for_each_line(key, form, &mut visit).await?;
        Ok(values)
    }

    fn check_time(&self) -> Result<(), HistoryFault> {
        if self.deadline.is_past(self.system.now()) { Err(HistoryFault::OutOfTime) } else { Ok(()) }
    }
}

/// How a stream's events lie in objects.
fn form_of(record: &StreamRecord) -> EventForm {
    record.document.input.format.into()
}

/// Where a stream's events have their time.
enum EventClock<'r> {
    /// In a field of the event.
    Field(&'r FieldPath, TimestampFormat),
    /// With the object that holds it.
    Object,
}

impl<'r> EventClock<'r> {
    fn of(record: &'r StreamRecord) -> Self {
        let input = &record.document.input;
        input.timestamp.as_ref().map_or(Self::Object, |path| Self::Field(path, input.timestamp_format))
    }

    /// The time of one line's event; `None` when it has none that can be read.
    fn read(&self, line: &str, object: &StoredObject) -> Option<OffsetDateTime> {
        match self {
            EventClock::Field(path, format) => event_time(path.find(line)?, *format),
            EventClock::Object => Some(object.last_modified),
        }
    }
}

/// The first pass.
struct Scan<'s> {
    reader: &'s HistoryReader<'s>,
    range: &'s TimeRange,
    form: EventForm,
    clock: EventClock<'s>,
    matches: &'s Mutex<Matches>,
}

impl Scan<'_> {
    fn may_hold_matches(&self, object: &StoredObject) -> bool {
        match self.clock {
            EventClock::Field(..) => object.size > 0,
            EventClock::Object => object.size > 0 && self.range.contains(object.last_modified),
        }
    }

    async fn object(&self, object: StoredObject, number: u32) -> Result<(), HistoryFault> {
        let mut fault = None;
        let mut line_number = 0;
        let mut visit = |line: Line<'_>| {
            let visited = self.line(line, &object, Place { object: number, line: line_number });
            line_number += 1;
            match visited {
                Ok(()) => ControlFlow::Continue(()),
                Err(found) => {
                    fault = Some(found);
                    ControlFlow::Break(())
                }
            }
        };
        self.reader.objects.for_each_line(&object.key, self.form, &mut visit).await?;
        fault.map_or(Ok(()), Err)
    }

    fn line(&self, line: Line<'_>, object: &StoredObject, place: Place) -> Result<(), HistoryFault> {
        if place.line % LINES_PER_LOOK == LINES_PER_LOOK - 1 {
            self.reader.check_time()?;
        }
        let text = match line {
            Line::Text(text) => text.trim_ascii(),
            Line::Unreadable => return self.skip(),
        };
        if text.is_empty() {
            return Ok(());
        }
        match self.clock.read(text, object) {
            Some(at) if !self.range.contains(at) => Ok(()),
            Some(at) if is_object(text) => self.matches().add(at, place, &object.key, text),
            _ => self.skip(),
        }
    }

    fn skip(&self) -> Result<(), HistoryFault> {
        self.matches().skipped_lines += 1;
        Ok(())
    }

    fn matches(&self) -> MutexGuard<'_, Matches> {
        self.matches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
}

fn raw(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.trim_ascii().to_owned()).ok()
}
