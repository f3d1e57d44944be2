//! The objects that a sink wrote: the port that reads them, and the walk over those of some days.

use std::ops::ControlFlow;
use std::vec;

use time::{Date, Duration, OffsetDateTime};

use crate::history::TimeRange;
use crate::input::Format;
use crate::store::StoreFault;

/// One object, not its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its whole name.
    pub key: String,
    /// When it was written.
    pub last_modified: OffsetDateTime,
    /// Its size as stored, in bytes.
    pub size: u64,
}

/// A part of a list of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// At most 1,000, in the order of their keys' bytes.
    pub objects: Vec<StoredObject>,
    /// Whether there are none behind these. If not, `objects` is not empty.
    pub is_complete: bool,
}

/// One line of an object, without its line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'l> {
    /// Text.
    Text(&'l str),
    /// Something else: not UTF-8, too long to be an event, or the rest of an object that is damaged.
    Unreadable,
}

/// How the events of an object are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventForm {
    /// A JSON object a line.
    Lines,
    /// CBOR maps, one behind the other (RFC 8742).
    Cbor,
}

impl From<Format> for EventForm {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => Self::Lines,
            Format::Xml => Self::Cbor,
        }
    }
}

/// Takes one line after another and says when it has had enough.
pub type Visitor<'v> = dyn FnMut(Line<'_>) -> ControlFlow<()> + Send + 'v;

/// Reads the objects that sinks write, without ever holding a whole one.
#[async_trait::async_trait]
pub trait StoredObjects: Send + Sync {
    /// Lists the objects under `prefix` whose keys are behind `start_after`.
    async fn list_page(&self, prefix: &str, start_after: &str) -> Result<Listing, StoreFault>;

    /// Reads an object, decompressed, line by line until the end or until `visit` has had enough. An event that is written otherwise is one
    /// line of JSON.
    async fn for_each_line(&self, key: &str, form: EventForm, visit: &mut Visitor<'_>) -> Result<(), StoreFault>;
}

/// The keys that may hold events of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    prefix: String,
    start_after: String,
    /// The first key that is not wanted any more; without one, all are.
    end: Option<String>,
}

impl KeyRange {
    /// The keys under `prefix` that are behind `start_after` and before `end`, if there is one.
    pub(crate) fn between(prefix: &str, start_after: String, end: Option<String>) -> Self {
        Self { prefix: prefix.to_owned(), start_after, end }
    }

    /// One day more in both directions: the day in a key is the one written in the event, up to 24 hours off UTC, or the one of arrival,
    /// up to a day (as long as Firehose tries to write) before the object's time.
    pub(super) fn new(prefix: &str, range: &TimeRange) -> Self {
        let first = range.from.date().previous_day().filter(|day| day.year() >= 0);
        let last_moment = range.to - Duration::NANOSECOND.min(range.to - range.from);
        let end = last_moment.date().next_day().and_then(Date::next_day).filter(|day| day.year() <= 9999);
        Self {
            prefix: prefix.to_owned(),
            start_after: first.map_or_else(|| prefix.to_owned(), |day| day_prefix(prefix, day)),
            end: end.map(|day| day_prefix(prefix, day)),
        }
    }

    fn is_past(&self, key: &str) -> bool {
        self.end.as_ref().is_some_and(|end| key >= end.as_str())
    }
}

/// Every key of a day starts with it, so it sorts right before them: months and days are zero-padded.
fn day_prefix(prefix: &str, day: Date) -> String {
    format!("{prefix}year={:04}/month={:02}/day={:02}/", day.year(), u8::from(day.month()), day.day())
}

/// Goes through the objects of a range in key order, one listing at a time.
pub(crate) struct Walk<'w> {
    objects: &'w dyn StoredObjects,
    keys: KeyRange,
    pending: vec::IntoIter<StoredObject>,
    is_last_listing: bool,
}

impl<'w> Walk<'w> {
    pub(crate) fn new(objects: &'w dyn StoredObjects, keys: KeyRange) -> Self {
        Self { objects, keys, pending: Vec::new().into_iter(), is_last_listing: false }
    }

    /// Returns the next object, or `None` after the last, and then for ever.
    pub(crate) async fn next(&mut self) -> Result<Option<StoredObject>, StoreFault> {
        loop {
            if let Some(object) = self.pending.next() {
                if self.keys.is_past(&object.key) {
                    self.pending = Vec::new().into_iter();
                    self.is_last_listing = true;
                    return Ok(None);
                }
                return Ok(Some(object));
            }
            if self.is_last_listing {
                return Ok(None);
            }
            let listing = self.objects.list_page(&self.keys.prefix, &self.keys.start_after).await?;
            match listing.objects.last() {
                Some(last) => self.keys.start_after.clone_from(&last.key),
                None => self.is_last_listing = true,
            }
            self.is_last_listing |= listing.is_complete;
            self.pending = listing.objects.into_iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_objects::FakeObjects;
    use crate::fakes::block_on;
    use time::macros::datetime;

    fn range(from: OffsetDateTime, to: OffsetDateTime) -> KeyRange {
        KeyRange::new("p/", &TimeRange { from, to })
    }

    #[test]
    fn keys_reach_one_day_beyond_the_range_on_both_sides() {
        let day = range(datetime!(2018-02-01 0:00 UTC), datetime!(2018-02-02 0:00 UTC));
        assert_eq!(day.start_after, "p/year=2018/month=01/day=31/");
        assert_eq!(day.end.as_deref(), Some("p/year=2018/month=02/day=03/"));
        let moment = range(datetime!(2018-12-31 23:59 UTC), datetime!(2019-01-01 0:00:00.1 UTC));
        assert_eq!(moment.start_after, "p/year=2018/month=12/day=30/");
        assert_eq!(moment.end.as_deref(), Some("p/year=2019/month=01/day=03/"));
    }

    #[test]
    fn the_ends_of_the_calendar_are_open() {
        let all = range(datetime!(0000-01-01 0:00 UTC), datetime!(9999-12-31 23:59 UTC));
        assert_eq!(all, KeyRange { prefix: "p/".into(), start_after: "p/".into(), end: None });
    }

    #[test]
    fn a_walk_lists_no_further_than_the_range_goes() {
        let objects = FakeObjects::with_listings_of(2);
        let day = datetime!(2018-02-01 0:00 UTC);
        for (month, day_of_month) in [(1, 30), (1, 31), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5)] {
            objects.put(&format!("p/year=2018/month={month:02}/day={day_of_month:02}/hour=00/x"), day, "{}\n");
        }
        objects.put("other/year=2018/month=02/day=01/hour=00/x", day, "{}\n");
        let mut walk = Walk::new(&objects, range(day, day + Duration::DAY));
        let mut keys = Vec::new();
        while let Some(object) = block_on(walk.next()).unwrap() {
            keys.push(object.key);
        }
        assert_eq!(keys.len(), 3, "{keys:?}");
        assert!(keys[0].contains("day=31") && keys[2].contains("day=02"));
        assert_eq!(objects.listings(), 2);
        assert_eq!(block_on(walk.next()).unwrap(), None);
        assert_eq!(objects.listings(), 2);
    }
}
