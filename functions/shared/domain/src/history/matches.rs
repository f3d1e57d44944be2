//! What a query keeps of the events that match: time and place of each, and their bytes while those are few.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use time::OffsetDateTime;

use crate::history::{HistoryFault, HistoryLimits};

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The object's number in the walk, so in the order of keys.
    pub(super) object: u32,
    /// The line's number in the object.
    pub(super) line: u32,
}

/// An event that matches. Sorts by time, then by place: no two stand at the same one. Small, since a query may keep millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Match {
    /// Its time, since 1970.
    seconds: i64,
    nanoseconds: u32,
    /// Where it stands.
    pub(super) place: Place,
    /// Its size in a Lambda's answer.
    answer_bytes: u32,
    /// Where its bytes are while they are retained.
    start: u32,
    length: u32,
}

/// The matching events of one query.
#[derive(Debug)]
pub(super) struct Matches {
    limits: HistoryLimits,
    found: Vec<Match>,
    /// The keys of objects with a match, by the object's number.
    keys: HashMap<u32, String>,
    key_bytes: usize,
    /// The bytes of every match, until they are too many.
    retained: Option<String>,
    /// Lines that are no event with a time.
    pub(super) skipped_lines: usize,
}

impl Matches {
    pub(super) fn new(limits: HistoryLimits) -> Self {
        Self { limits, found: Vec::new(), keys: HashMap::new(), key_bytes: 0, retained: Some(String::new()), skipped_lines: 0 }
    }

    /// Keeps an event.
    ///
    /// # Errors
    /// [`HistoryFault::TooManyEvents`] or [`HistoryFault::TooManyObjects`].
    pub(super) fn add(&mut self, at: OffsetDateTime, place: Place, key: &str, event: &str) -> Result<(), HistoryFault> {
        let limit = self.limits.matches;
        let (Ok(length), Ok(answer_bytes)) = (u32::try_from(event.len()), u32::try_from(answer_bytes(event))) else {
            return Err(HistoryFault::TooManyEvents { limit });
        };
        if self.found.len() >= limit {
            return Err(HistoryFault::TooManyEvents { limit });
        }
        if let Entry::Vacant(entry) = self.keys.entry(place.object) {
            self.key_bytes += key.len();
            entry.insert(key.to_owned());
        }
        if self.key_bytes > self.limits.key_bytes {
            return Err(HistoryFault::TooManyObjects);
        }
        let start = self.retain(event);
        let (seconds, nanoseconds) = (at.unix_timestamp(), at.nanosecond());
        self.found.push(Match { seconds, nanoseconds, place, answer_bytes, start, length });
        Ok(())
    }

    /// Returns where the event's bytes are, if they are kept.
    fn retain(&mut self, event: &str) -> u32 {
        let Some(retained) = &mut self.retained else { return 0 };
        match u32::try_from(retained.len()) {
            Ok(start) if retained.len() + event.len() <= self.limits.retained_bytes => {
                retained.push_str(event);
                start
            }
            _ => {
                self.retained = None;
                0
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    /// Sorts all and returns those of one page, counted from 1.
    ///
    /// # Errors
    /// [`HistoryFault::PageTooLarge`].
    pub(super) fn page(&mut self, page: u32, page_size: usize) -> Result<&[Match], HistoryFault> {
        self.found.sort_unstable();
        let start = (page as usize - 1).saturating_mul(page_size).min(self.found.len());
        let end = start.saturating_add(page_size).min(self.found.len());
        let events = &self.found[start..end];
        let got: usize = events.iter().map(|event| event.answer_bytes as usize).sum();
        let limit = self.limits.page_bytes;
        if got > limit { Err(HistoryFault::PageTooLarge { limit, got }) } else { Ok(events) }
    }

    /// An event's bytes, while they are retained.
    pub(super) fn text(&self, event: &Match) -> Option<&str> {
        let start = event.start as usize;
        self.retained.as_ref()?.get(start..start + event.length as usize)
    }

    /// The key of an object with a match.
    pub(super) fn key(&self, object: u32) -> Option<&str> {
        self.keys.get(&object).map(String::as_str)
    }
}

/// The size of an event, and the comma behind it, in a Lambda's answer: that is JSON which holds the body as a string, so every quote,
/// backslash and tab takes two bytes.
pub(crate) fn answer_bytes(event: &str) -> usize {
    let escaped = event.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\t' | b'\r')).count();
    event.len() + escaped + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn add(matches: &mut Matches, second: i64, line: u32, event: &str) -> Result<(), HistoryFault> {
        let at = datetime!(2018-02-01 0:00 UTC) + time::Duration::seconds(second);
        matches.add(at, Place { object: 0, line }, "key", event)
    }

    #[test]
    fn two_million_matches_fit_a_small_function() {
        assert_eq!(std::mem::size_of::<Match>(), 32);
    }

    #[test]
    fn an_event_takes_what_lambda_counts() {
        for event in [r#"{"a":"\"x\\"}"#, "{\t\"a\":1}", "{\"é\":1}"] {
            let answer = serde_json::to_string(event).unwrap();
            assert_eq!(answer_bytes(event), answer.len() - 2 + 1, "{event}");
        }
    }

    #[test]
    fn bytes_are_retained_up_to_the_budget_and_then_none() {
        let mut matches = Matches::new(HistoryLimits { retained_bytes: 4, ..HistoryLimits::default() });
        add(&mut matches, 2, 0, "{}").unwrap();
        add(&mut matches, 1, 1, "[]").unwrap();
        let page = matches.page(1, 10).unwrap().to_vec();
        assert_eq!(page.iter().map(|event| matches.text(event)).collect::<Vec<_>>(), [Some("[]"), Some("{}")]);
        add(&mut matches, 3, 2, "{}").unwrap();
        let page = matches.page(1, 10).unwrap().to_vec();
        assert_eq!(page.iter().map(|event| matches.text(event)).collect::<Vec<_>>(), [None, None, None]);
    }

    #[test]
    fn one_match_too_many_is_refused() {
        let mut matches = Matches::new(HistoryLimits { matches: 1, ..HistoryLimits::default() });
        add(&mut matches, 0, 0, "{}").unwrap();
        assert!(matches!(add(&mut matches, 0, 1, "{}"), Err(HistoryFault::TooManyEvents { limit: 1 })));
    }

    #[test]
    fn keys_have_a_budget_of_their_own() {
        let mut matches = Matches::new(HistoryLimits { key_bytes: 3, ..HistoryLimits::default() });
        add(&mut matches, 0, 0, "{}").unwrap();
        add(&mut matches, 1, 1, "{}").unwrap();
        let other = Place { object: 1, line: 0 };
        assert!(matches!(matches.add(OffsetDateTime::UNIX_EPOCH, other, "key", "{}"), Err(HistoryFault::TooManyObjects)));
    }

    #[test]
    fn a_page_may_hold_its_limit_and_not_a_byte_more() {
        let mut matches = Matches::new(HistoryLimits { page_bytes: 6, ..HistoryLimits::default() });
        add(&mut matches, 0, 0, "{}").unwrap();
        add(&mut matches, 1, 1, "{}").unwrap();
        assert_eq!(matches.page(1, 2).unwrap().len(), 2);
        add(&mut matches, 2, 2, "{ }").unwrap();
        assert!(matches!(matches.page(1, 3), Err(HistoryFault::PageTooLarge { limit: 6, got: 10 })));
        assert_eq!(matches.page(2, 2).unwrap().len(), 1);
        assert_eq!(matches.page(u32::MAX, usize::MAX).unwrap().len(), 0);
    }
}
