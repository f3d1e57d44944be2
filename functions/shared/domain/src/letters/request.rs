//! What a caller asks to be put back.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::dead_letter::LetterId;
use crate::history::{ParameterFault, fault};
use crate::letters::cursor::Cursor;
use crate::letters::query::{Matching, Wanted, read_cursor, read_ids};
use crate::limits::MAX_LETTER_IDS;

/// The fields of a request, as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedriveFields {
    /// The letters by name.
    pub ids: Option<Vec<String>>,
    /// The first day or time of a range.
    pub from: Option<String>,
    /// Its last day, or the first time behind it.
    pub to: Option<String>,
    /// The code of the reason.
    pub reason: Option<String>,
    /// Whether letters that were put back before are put back again.
    pub force: bool,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// A valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveRequest {
    pub(super) wanted: Wanted,
    pub(super) force: bool,
    pub(super) cursor: Option<Cursor>,
}

impl RedriveRequest {
    /// Reads a request for letters under `prefix`.
    ///
    /// # Errors
    /// Every fault found; a parameter in one of them is a name, or a name and the place in its list (`ids/3`). The one of a request that
    /// selects nothing has no name.
    pub fn read(fields: &RedriveFields, prefix: &str) -> Result<Self, Vec<ParameterFault>> {
        let RedriveFields { ids, from, to, reason, force, cursor } = fields;
        let mut faults = Vec::new();
        let has_filter = from.is_some() || to.is_some() || reason.is_some();
        let matching = Matching::read(from.as_deref(), to.as_deref(), reason.as_deref(), &mut faults);
        let wanted = match ids {
            Some(_) if has_filter => {
                faults.push(fault("ids", "expected either ids, or from, to and reason".to_owned()));
                Wanted::Ids(Vec::new())
            }
            Some(ids) => Wanted::Ids(read_ids(ids, MAX_LETTER_IDS, &mut faults)),
            None if has_filter => Wanted::Matching(matching),
            None => {
                faults.push(fault("", "expected at least one of ids, reason, from, to".to_owned()));
                Wanted::Matching(matching)
            }
        };
        let cursor = read_cursor(cursor.as_deref(), prefix, &mut faults);
        if let (true, Some(cursor)) = (faults.is_empty(), &cursor)
            && !goes_with(cursor, &wanted)
        {
            faults.push(fault("cursor", "expected the next_cursor of a request for the same letters".to_owned()));
        }
        if faults.is_empty() { Ok(Self { wanted, force: *force, cursor }) } else { Err(faults) }
    }
}

/// How many bytes hold a bit for each id.
fn bytes_for(wanted: &Wanted) -> usize {
    match wanted {
        Wanted::Ids(ids) => ids.len().div_ceil(8),
        Wanted::Matching(_) => 0,
    }
}

/// Names a list of ids; nothing without one.
fn digest_of(wanted: &Wanted) -> Option<u64> {
    let Wanted::Ids(ids) = wanted else { return None };
    let mut digest = Sha256::new();
    for id in ids {
        digest.update(id.to_string());
        // Stands in no id.
        digest.update("\n");
    }
    Some(digest.finalize().iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)))
}

/// Whether a cursor was made for the same ids, or for none.
fn goes_with(cursor: &Cursor, wanted: &Wanted) -> bool {
    cursor.ids_done.len() == bytes_for(wanted) && cursor.ids_digest == digest_of(wanted)
}

/// How far the requests that follow one another by their cursors have come: what a cursor knows beside a place.
#[derive(Debug)]
pub(super) struct Progress<'r> {
    wanted: &'r Wanted,
    /// When the first of them began, to the millisecond.
    began: OffsetDateTime,
    ids: &'r [LetterId],
    /// Which of the ids are done.
    bits: Vec<u8>,
}

impl<'r> Progress<'r> {
    /// Takes up what an earlier request did.
    pub(super) fn new(request: &'r RedriveRequest, now: OffsetDateTime) -> Self {
        let RedriveRequest { wanted, force: _, cursor } = request;
        let ids: &[LetterId] = match wanted {
            Wanted::Ids(ids) => ids,
            Wanted::Matching(_) => &[],
        };
        let bits = cursor.as_ref().map_or_else(|| vec![0; bytes_for(wanted)], |cursor| cursor.ids_done.clone());
        let began = cursor.as_ref().and_then(Cursor::began);
        // All of them must have the same end, and a cursor holds no more of it.
        let began = began.unwrap_or_else(|| now.replace_millisecond(now.millisecond()).unwrap_or(now));
        Self { wanted, began, ids, bits }
    }

    /// What is still to be looked for. A letter that stopped after the first request began is none of theirs: an event that stops again
    /// would be put back again and again, and they would never end.
    pub(super) fn wanted(&self) -> Wanted {
        match self.wanted {
            Wanted::Ids(_) => Wanted::Ids(self.open()),
            Wanted::Matching(matching) => Wanted::Matching(matching.before(self.began)),
        }
    }

    /// Those ids that are not done yet, in order.
    pub(super) fn open(&self) -> Vec<LetterId> {
        let is_open = |index: usize| self.bits.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) == 0);
        self.ids.iter().enumerate().filter(|(index, _)| is_open(*index)).map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn note(&mut self, id: &LetterId) {
        if let Ok(index) = self.ids.binary_search(id)
            && let Some(byte) = self.bits.get_mut(index / 8)
        {
            *byte |= 1 << (index % 8);
        }
    }

    /// A cursor that knows how far they have come.
    pub(super) fn in_cursor(&self, position: &Cursor) -> Cursor {
        let began_ms = match self.wanted {
            Wanted::Ids(_) => None,
            Wanted::Matching(_) => i64::try_from(self.began.unix_timestamp_nanos() / 1_000_000).ok(),
        };
        Cursor { ids_done: self.bits.clone(), ids_digest: digest_of(self.wanted), began_ms, ..position.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const PREFIX: &str = "dead-letters/trucks/version=1/";
    const NOW: OffsetDateTime = datetime!(2026-01-01 12:00:00.1239 UTC);

    fn faults(fields: &RedriveFields) -> Vec<(String, String)> {
        RedriveRequest::read(fields, PREFIX).unwrap_err().into_iter().map(|fault| (fault.parameter, fault.detail)).collect()
    }

    fn texts(ids: &[&str]) -> Option<Vec<String>> {
        Some(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn a_request_selects_something_in_one_of_two_ways() {
        let nothing = RedriveFields { force: true, ..RedriveFields::default() };
        assert_eq!(faults(&nothing), [(String::new(), "expected at least one of ids, reason, from, to".to_owned())]);
        let both = RedriveFields { ids: texts(&["dl-1-1"]), reason: Some("undecodable".into()), ..RedriveFields::default() };
        assert_eq!(faults(&both), [("ids".to_owned(), "expected either ids, or from, to and reason".to_owned())]);
        let by_reason = RedriveFields { reason: Some("undecodable".into()), ..RedriveFields::default() };
        assert!(RedriveRequest::read(&by_reason, PREFIX).is_ok());
    }

    #[test]
    fn every_bad_id_is_named() {
        let bad = RedriveFields { ids: texts(&["dl-1-1", "x", "dl-1-1", "dl-"]), cursor: Some("y".into()), ..RedriveFields::default() };
        assert_eq!(faults(&bad).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["ids/1", "ids/3", "cursor"]);
        for count in [0, MAX_LETTER_IDS + 1] {
            let many = RedriveFields { ids: Some(vec!["dl-1-1".to_owned(); count]), ..RedriveFields::default() };
            assert_eq!(faults(&many), [("ids".to_owned(), format!("expected 1 to 1000 ids, got {count}"))]);
        }
    }

    #[test]
    fn a_cursor_goes_with_the_ids_that_it_was_made_for() {
        let fields = RedriveFields { ids: texts(&["dl-2-1", "dl-1-1", "dl-2-1"]), ..RedriveFields::default() };
        let request = RedriveRequest::read(&fields, PREFIX).unwrap();
        let mut done = Progress::new(&request, NOW);
        assert_eq!(done.open().iter().map(LetterId::to_string).collect::<Vec<_>>(), ["dl-1-1", "dl-2-1"]);
        done.note(&"dl-1-1".parse().unwrap());
        done.note(&"dl-9-9".parse().unwrap());
        let cursor = done.in_cursor(&Cursor::behind(&format!("{PREFIX}x"))).to_text();
        let next = RedriveRequest::read(&RedriveFields { cursor: Some(cursor.clone()), ..fields.clone() }, PREFIX).unwrap();
        assert_eq!(Progress::new(&next, NOW).open().iter().map(LetterId::to_string).collect::<Vec<_>>(), ["dl-2-1"]);
        let expected = [("cursor".to_owned(), "expected the next_cursor of a request for the same letters".to_owned())];
        let by_reason = RedriveFields { reason: Some("undecodable".into()), cursor: Some(cursor.clone()), ..RedriveFields::default() };
        assert_eq!(faults(&by_reason), expected);
        for others in [["dl-1-1", "dl-2-2"].as_slice(), &["dl-1-1"], &["dl-1-1", "dl-2-1", "dl-3-1"]] {
            let others = RedriveFields { ids: texts(others), cursor: Some(cursor.clone()), ..RedriveFields::default() };
            assert_eq!(faults(&others), expected);
        }
        let of_a_list = Cursor::behind(&format!("{PREFIX}x")).to_text();
        assert_eq!(faults(&RedriveFields { cursor: Some(of_a_list), ..fields }), expected);
    }

    #[test]
    fn requests_that_follow_one_another_end_where_the_first_began() {
        let to = |progress: &Progress<'_>| match progress.wanted() {
            Wanted::Matching(matching) => matching.to,
            Wanted::Ids(_) => None,
        };
        let began = Some(datetime!(2026-01-01 12:00:00.123 UTC));
        let fields = RedriveFields { from: Some("2026-01-01".into()), ..RedriveFields::default() };
        let first = RedriveRequest::read(&fields, PREFIX).unwrap();
        let first_progress = Progress::new(&first, NOW);
        assert_eq!(to(&first_progress), began);
        let cursor = first_progress.in_cursor(&Cursor::behind(&format!("{PREFIX}x"))).to_text();
        let next = RedriveRequest::read(&RedriveFields { cursor: Some(cursor), ..fields.clone() }, PREFIX).unwrap();
        let next_progress = Progress::new(&next, NOW + std::time::Duration::from_secs(60));
        assert_eq!(to(&next_progress), began);
        assert_eq!(next_progress.in_cursor(&Cursor::behind(PREFIX)).began(), began);
        let early = RedriveRequest::read(&RedriveFields { to: Some("2026-01-01T11:00:00Z".into()), ..fields }, PREFIX).unwrap();
        assert_eq!(to(&Progress::new(&early, NOW)), Some(datetime!(2026-01-01 11:00 UTC)));
    }
}
