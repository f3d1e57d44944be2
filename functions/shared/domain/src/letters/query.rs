//! Which dead letters a caller asks for.

use time::{Duration, OffsetDateTime};

use crate::dead_letter::LetterId;
use crate::history::{Bound, KeyRange, ParameterFault, cut, fault, range, read_number, read_once, time_expected, unknown_parameters};
use crate::letters::cursor::Cursor;
use crate::limits::{DEFAULT_LETTERS_PAGE, MAX_LETTERS_PAGE};

/// Every parameter that there is.
const PARAMETERS: [&str; 5] = ["from", "to", "reason", "cursor", "page_size"];

/// How long Firehose may take to write what it was given.
const DELIVERY_TIME: Duration = Duration::DAY;

/// How long before a letter the oldest one of its object may have come, whose hour is the object's: buffers are kept up to 15 minutes
/// (<https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html>), and clocks differ.
const BUFFERING_TIME: Duration = Duration::HOUR;

/// Letters by their time and their reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matching {
    /// The first time that is wanted, if there is one.
    pub from: Option<OffsetDateTime>,
    /// The first time that is not wanted any more, if there is one.
    pub to: Option<OffsetDateTime>,
    /// The code of the reason, if only one is wanted.
    pub reason: Option<String>,
}

/// A valid question for a page of letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LettersQuery {
    /// The letters wanted.
    pub matching: Matching,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// Letters on a page.
    pub page_size: usize,
}

impl LettersQuery {
    /// Reads the parameters of a request, already decoded, for the letters under `prefix`.
    ///
    /// # Errors
    /// Every fault found.
    pub fn parse(parameters: &[(String, String)], prefix: &str) -> Result<Self, Vec<ParameterFault>> {
        let mut faults = unknown_parameters(parameters, &PARAMETERS);
        let mut text = |name| read_once(parameters, name, &mut faults);
        let (from, to, reason, cursor) = (text("from"), text("to"), text("reason"), text("cursor"));
        let matching = Matching::read(from, to, reason, &mut faults);
        let cursor = read_cursor(cursor, prefix, &mut faults);
        let page_size = read_number(parameters, "page_size", MAX_LETTERS_PAGE, DEFAULT_LETTERS_PAGE, &mut faults);
        if faults.is_empty() { Ok(Self { matching, cursor, page_size }) } else { Err(faults) }
    }
}

impl Matching {
    /// Reads the two ends of a range, each a day or a time, and a reason.
    pub(super) fn read(from: Option<&str>, to: Option<&str>, reason: Option<&str>, faults: &mut Vec<ParameterFault>) -> Self {
        let mut bound = |name, text: Option<&str>| {
            let bound = text.map(Bound::parse)?;
            if bound.is_none() {
                faults.push(fault(name, time_expected(text)));
            }
            bound
        };
        let (from, to) = (bound("from", from), bound("to", to));
        if from.zip(to).is_some_and(|(from, to)| range(from, to).is_none()) {
            faults.push(fault("from", "expected a time that is not after to".to_owned()));
        }
        if reason == Some("") {
            faults.push(fault("reason", "expected the code of a reason".to_owned()));
        }
        Self { from: from.map(Bound::start), to: to.map(Bound::end), reason: reason.map(str::to_owned) }
    }

    /// The same, without what stopped at `end` or later.
    pub(super) fn before(&self, end: OffsetDateTime) -> Self {
        Self { to: Some(self.to.map_or(end, |to| to.min(end))), ..self.clone() }
    }

    fn takes(&self, time: OffsetDateTime, reason: &str) -> bool {
        let is_in_range = self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to);
        is_in_range && self.reason.as_ref().is_none_or(|wanted| wanted == reason)
    }
}

pub(super) fn read_cursor(text: Option<&str>, prefix: &str, faults: &mut Vec<ParameterFault>) -> Option<Cursor> {
    let parsed = Cursor::parse(text?, prefix);
    parsed.map_err(|invalid| faults.push(fault("cursor", invalid.to_string()))).ok()
}

/// Reads the ids of letters, in order and each once.
pub(super) fn read_ids(texts: &[String], most: usize, faults: &mut Vec<ParameterFault>) -> Vec<LetterId> {
    if !(1..=most).contains(&texts.len()) {
        faults.push(fault("ids", format!("expected 1 to {most} ids, got {}", texts.len())));
        return Vec::new();
    }
    let mut ids = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(id) => ids.push(id),
            Err(_) => faults.push(fault(&format!("ids/{index}"), format!("expected the id of a dead letter, got {:?}", cut(text)))),
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What a reader looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Letters by their ids, in order.
    Ids(Vec<LetterId>),
    /// Letters by what they say.
    Matching(Matching),
}

impl Wanted {
    pub(super) fn takes(&self, id: &LetterId, time: OffsetDateTime, reason: &str) -> bool {
        match self {
            Wanted::Ids(ids) => ids.binary_search(id).is_ok(),
            Wanted::Matching(matching) => matching.takes(time, reason),
        }
    }

    /// The objects that may hold what is wanted. An object's hour is that of its oldest letter; no letter is older than its event.
    pub(super) fn keys(&self, prefix: &str, cursor: Option<&Cursor>) -> KeyRange {
        let from = match self {
            Wanted::Ids(ids) => ids.iter().map(LetterId::arrived_at).min(),
            Wanted::Matching(matching) => matching.from,
        };
        let to = match self {
            Wanted::Ids(_) => None,
            Wanted::Matching(matching) => matching.to,
        };
        let first = from.and_then(|from| hour_prefix(prefix, from.checked_sub(BUFFERING_TIME)?)).unwrap_or_else(|| prefix.to_owned());
        let end = to.and_then(|to| hour_prefix(prefix, to.checked_add(DELIVERY_TIME + Duration::HOUR)?));
        let start_after = cursor.map(Cursor::start_after).filter(|behind| *behind > first.as_str()).map_or(first, str::to_owned);
        KeyRange::between(prefix, start_after, end)
    }
}

/// Every key of an hour starts with it, so it sorts right before them.
fn hour_prefix(prefix: &str, at: OffsetDateTime) -> Option<String> {
    let (year, month, day) = at.to_calendar_date();
    let is_writable = (0..=9999).contains(&year);
    is_writable.then(|| format!("{prefix}year={year:04}/month={:02}/day={day:02}/hour={:02}/", u8::from(month), at.hour()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const PREFIX: &str = "dead-letters/trucks/version=1/";

    fn parse(query: &[(&str, &str)]) -> Result<LettersQuery, Vec<(String, String)>> {
        let parameters: Vec<(String, String)> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        LettersQuery::parse(&parameters, PREFIX).map_err(|faults| faults.into_iter().map(|fault| (fault.parameter, fault.detail)).collect())
    }

    #[test]
    fn every_parameter_may_be_left_out() {
        let query = parse(&[]).unwrap();
        assert_eq!(query, LettersQuery { matching: Matching::default(), cursor: None, page_size: 100 });
    }

    #[test]
    fn the_ends_of_a_range_are_days_or_times() {
        let query = parse(&[("from", "2018-02-07"), ("to", "2018-02-07"), ("reason", "undecodable"), ("page_size", "7")]).unwrap();
        assert_eq!(query.page_size, 7);
        let expected = Matching {
            from: Some(datetime!(2018-02-07 0:00 UTC)),
            to: Some(datetime!(2018-02-08 0:00 UTC)),
            reason: Some("undecodable".to_owned()),
        };
        assert_eq!(query.matching, expected);
        let empty = parse(&[("from", "2018-02-07T12:00:00Z"), ("to", "2018-02-07T13:00:00+01:00")]).unwrap().matching;
        assert!(!empty.takes(datetime!(2018-02-07 12:00 UTC), "any"));
    }

    #[test]
    fn an_end_is_only_ever_made_earlier() {
        let [early, late] = [datetime!(2018-02-07 12:00 UTC), datetime!(2018-02-08 0:00 UTC)];
        for (to, end) in [(None, early), (Some(early), late), (Some(late), early)] {
            let matching = Matching { to, ..Matching::default() };
            assert_eq!(matching.before(end), Matching { to: Some(early), ..Matching::default() });
        }
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let expected =
            |text: &str| format!("expected a date such as 2018-02-07 or an RFC 3339 time such as 2018-02-07T12:30:00Z, got {text:?}");
        let faults =
            parse(&[("from", "a"), ("to", "b"), ("reason", ""), ("cursor", "c"), ("page_size", "1001"), ("page", "1")]).unwrap_err();
        let expected = [
            ("page", "expected one of the parameters from, to, reason, cursor, page_size".to_owned()),
            ("from", expected("a")),
            ("to", expected("b")),
            ("reason", "expected the code of a reason".to_owned()),
            ("cursor", "expected a next_cursor of this stream's dead letters".to_owned()),
            ("page_size", "expected 1 to 1000, got \"1001\"".to_owned()),
        ];
        assert_eq!(faults, expected.map(|(name, detail)| (name.to_owned(), detail)));
        let faults = parse(&[("from", "2018-02-08"), ("to", "2018-02-07"), ("reason", "a"), ("reason", "b")]).unwrap_err();
        assert_eq!(faults.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["reason", "from"]);
    }

    #[test]
    fn the_hours_in_question_begin_before_the_range_and_end_a_day_behind_it() {
        let keys = |from, to| Wanted::Matching(Matching { from, to, reason: None }).keys(PREFIX, None);
        let hour = |text: &str| format!("{PREFIX}{text}");
        assert_eq!(
            keys(Some(datetime!(2018-03-01 00:30 UTC)), Some(datetime!(2018-03-01 02:00 UTC))),
            KeyRange::between(PREFIX, hour("year=2018/month=02/day=28/hour=23/"), Some(hour("year=2018/month=03/day=02/hour=03/")))
        );
        assert_eq!(keys(None, None), KeyRange::between(PREFIX, PREFIX.to_owned(), None));
        let (first, last) = (datetime!(0000-01-01 00:30 UTC), datetime!(9999-12-31 12:00 UTC));
        assert_eq!(keys(Some(first), Some(last)), KeyRange::between(PREFIX, PREFIX.to_owned(), None));
        let ids = ["dl-1767225597000-2", "dl-1767225596000-9"].map(|id| id.parse().unwrap()).to_vec();
        let expected = KeyRange::between(PREFIX, hour("year=2025/month=12/day=31/hour=22/"), None);
        assert_eq!(Wanted::Ids(ids).keys(PREFIX, None), expected);
    }
}
