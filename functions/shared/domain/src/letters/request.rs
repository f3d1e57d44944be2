//! What a caller asks to be put back.

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
            && cursor.ids_done.len() != bytes_for(&wanted)
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

/// Which of the ids of a request are done.
#[derive(Debug)]
pub(super) struct IdsDone<'i> {
    ids: &'i [LetterId],
    bits: Vec<u8>,
}

impl<'i> IdsDone<'i> {
    /// Takes up what an earlier request did; nothing for a request without ids.
    pub(super) fn new(request: &'i RedriveRequest) -> Self {
        let ids: &[LetterId] = match &request.wanted {
            Wanted::Ids(ids) => ids,
            Wanted::Matching(_) => &[],
        };
        let bits = request.cursor.as_ref().map_or_else(|| vec![0; bytes_for(&request.wanted)], |cursor| cursor.ids_done.clone());
        Self { ids, bits }
    }

    /// Those that are not done yet, in order.
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

    /// A cursor that knows them.
    pub(super) fn in_cursor(&self, position: &Cursor) -> Cursor {
        Cursor { ids_done: self.bits.clone(), ..position.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "dead-letters/trucks/version=1/";

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
        let mut done = IdsDone::new(&request);
        assert_eq!(done.open().iter().map(LetterId::to_string).collect::<Vec<_>>(), ["dl-1-1", "dl-2-1"]);
        done.note(&"dl-1-1".parse().unwrap());
        done.note(&"dl-9-9".parse().unwrap());
        let cursor = done.in_cursor(&Cursor::behind(&format!("{PREFIX}x"))).to_text();
        let next = RedriveRequest::read(&RedriveFields { cursor: Some(cursor.clone()), ..fields }, PREFIX).unwrap();
        assert_eq!(IdsDone::new(&next).open().iter().map(LetterId::to_string).collect::<Vec<_>>(), ["dl-2-1"]);
        let other = RedriveFields { reason: Some("undecodable".into()), cursor: Some(cursor), ..RedriveFields::default() };
        assert_eq!(faults(&other)[0].0, "cursor");
    }
}
