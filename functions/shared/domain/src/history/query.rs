//! What a caller asks for: a range of time and a page of it.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::limits::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE};

/// Every parameter that there is.
const PARAMETERS: [&str; 4] = ["from_date", "to_date", "page", "page_size"];

/// The first time that belongs to a range and the first that does not any more, both in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// Inclusive.
    pub from: OffsetDateTime,
    /// Exclusive.
    pub to: OffsetDateTime,
}

impl TimeRange {
    /// Returns whether a time lies in the range.
    pub fn contains(&self, at: OffsetDateTime) -> bool {
        self.from <= at && at < self.to
    }
}

/// A valid question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The events wanted, by time.
    pub range: TimeRange,
    /// The page wanted, counted from 1.
    pub page: u32,
    /// Events on a page.
    pub page_size: usize,
}

/// What is wrong with one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterFault {
    /// The parameter's name, cut when it is an unknown one.
    pub parameter: String,
    /// What was expected and what was got.
    pub detail: String,
}

impl HistoryQuery {
    /// Reads the parameters of a request, already decoded.
    ///
    /// # Errors
    /// Every fault found.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Vec<ParameterFault>> {
        let mut faults = unknown_parameters(parameters, &PARAMETERS);
        let from = read_bound(parameters, "from_date", &mut faults);
        let to = read_bound(parameters, "to_date", &mut faults);
        let page = read_number(parameters, "page", u32::MAX as usize, 1, &mut faults);
        let page_size = read_number(parameters, "page_size", MAX_PAGE_SIZE, DEFAULT_PAGE_SIZE, &mut faults);
        let range = from.zip(to).and_then(|(from, to)| {
            let range = range(from, to);
            if range.is_none() {
                faults.push(fault("from_date", "expected a time that is not after to_date".to_owned()));
            }
            range
        });
        match range {
            Some(range) if faults.is_empty() => {
                let page = u32::try_from(page).unwrap_or(u32::MAX);
                Ok(Self { range, page, page_size })
            }
            _ => Err(faults),
        }
    }
}

/// One end of a range, as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// A whole day in UTC.
    Day(Date),
    /// A point in time, in UTC.
    Time(OffsetDateTime),
}

impl Bound {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() == "YYYY-MM-DD".len() {
            return Date::parse(text, format_description!("[year]-[month]-[day]")).ok().map(Self::Day);
        }
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        // Only an offset at the very end of the year 9999, or at the very start of 0, leaves what can be written in UTC.
        at.checked_to_offset(UtcOffset::UTC).map(Self::Time)
    }

    pub(crate) fn start(self) -> OffsetDateTime {
        match self {
            Bound::Day(day) => day.midnight().assume_utc(),
            Bound::Time(at) => at,
        }
    }

    pub(crate) fn end(self) -> OffsetDateTime {
        match self {
            Bound::Day(day) => day.next_day().map_or(PrimitiveDateTime::new(day, Time::MAX), Date::midnight).assume_utc(),
            Bound::Time(at) => at,
        }
    }
}

/// Both ends as a range; `None` when they stand the wrong way round. A range that ends where it starts is empty, unless it is a day.
pub(crate) fn range(from: Bound, to: Bound) -> Option<TimeRange> {
    let range = TimeRange { from: from.start(), to: to.end() };
    let is_in_order = match to {
        Bound::Day(_) => range.from < range.to,
        Bound::Time(_) => range.from <= range.to,
    };
    is_in_order.then_some(range)
}

/// A fault for every parameter that is not among those `known`.
pub(crate) fn unknown_parameters(parameters: &[(String, String)], known: &[&str]) -> Vec<ParameterFault> {
    let unknown = parameters.iter().filter(|(name, _)| !known.contains(&name.as_str()));
    unknown.map(|(name, _)| fault(&cut(name), format!("expected one of the parameters {}", known.join(", ")))).collect()
}

/// What is wrong with an end of a range that cannot be read, or is not there.
pub(crate) fn time_expected(got: Option<&str>) -> String {
    let got = got.map_or_else(|| "nothing".to_owned(), |text| format!("{:?}", cut(text)));
    format!("expected a date such as 2018-02-07 or an RFC 3339 time such as 2018-02-07T12:30:00Z, got {got}")
}

fn read_bound(parameters: &[(String, String)], name: &str, faults: &mut Vec<ParameterFault>) -> Option<Bound> {
    match read_once(parameters, name, faults) {
        Some(text) => {
            let bound = Bound::parse(text);
            if bound.is_none() {
                faults.push(fault(name, time_expected(Some(text))));
            }
            bound
        }
        None => {
            if !parameters.iter().any(|(known, _)| known == name) {
                faults.push(fault(name, time_expected(None)));
            }
            None
        }
    }
}

/// A parameter's number, from 1 to `most`.
pub(crate) fn read_number(
    parameters: &[(String, String)],
    name: &str,
    most: usize,
    default: usize,
    faults: &mut Vec<ParameterFault>,
) -> usize {
    let Some(text) = read_once(parameters, name, faults) else { return default };
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_digits && (1..=most).contains(number));
    number.unwrap_or_else(|| {
        faults.push(fault(name, format!("expected 1 to {most}, got {:?}", cut(text))));
        default
    })
}

/// A parameter's value; `None`, and a fault, when it is given twice.
pub(crate) fn read_once<'p>(parameters: &'p [(String, String)], name: &str, faults: &mut Vec<ParameterFault>) -> Option<&'p str> {
    let mut values = parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let first = values.next()?;
    if values.next().is_some() {
        faults.push(fault(name, "expected it once".to_owned()));
        return None;
    }
    Some(first)
}

pub(crate) fn fault(parameter: &str, detail: String) -> ParameterFault {
    ParameterFault { parameter: parameter.to_owned(), detail }
}

/// What a caller sent is echoed cut, so that an error never outgrows its cause.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    fn parse(query: &[(&str, &str)]) -> Result<HistoryQuery, Vec<ParameterFault>> {
        let parameters: Vec<(String, String)> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HistoryQuery::parse(&parameters)
    }

    fn range_of(from: &str, to: &str) -> Result<TimeRange, Vec<ParameterFault>> {
        parse(&[("from_date", from), ("to_date", to)]).map(|query| query.range)
    }

    fn faults(query: &[(&str, &str)]) -> Vec<(String, String)> {
        parse(query).unwrap_err().into_iter().map(|fault| (fault.parameter, fault.detail)).collect()
    }

    #[test]
    fn days_include_their_last_and_times_do_not() {
        let days = range_of("2018-02-01", "2018-02-07").unwrap();
        assert_eq!(days, TimeRange { from: datetime!(2018-02-01 0:00 UTC), to: datetime!(2018-02-08 0:00 UTC) });
        let times = range_of("2018-02-01T00:00:00+02:00", "2018-02-01T00:00:00.5Z").unwrap();
        assert_eq!(times, TimeRange { from: datetime!(2018-01-31 22:00 UTC), to: datetime!(2018-02-01 0:00:00.5 UTC) });
        let mixed = range_of("2018-02-01T12:00:00Z", "2018-02-01").unwrap();
        assert_eq!(mixed, TimeRange { from: datetime!(2018-02-01 12:00 UTC), to: datetime!(2018-02-02 0:00 UTC) });
        assert!(mixed.contains(mixed.from) && !mixed.contains(mixed.to));
    }

    #[test]
    fn the_page_has_defaults() {
        let query = parse(&[("from_date", "2018-02-01"), ("to_date", "2018-02-01")]).unwrap();
        assert_eq!((query.page, query.page_size), (1, DEFAULT_PAGE_SIZE));
        let query = parse(&[("from_date", "2018-02-01"), ("to_date", "2018-02-01"), ("page", "7"), ("page_size", "10000")]).unwrap();
        assert_eq!((query.page, query.page_size), (7, MAX_PAGE_SIZE));
    }

    #[test]
    fn a_range_the_wrong_way_round_is_refused_and_an_empty_one_is_not() {
        for (from, to) in [
            ("2018-02-02", "2018-02-01"),
            ("2018-02-02T00:00:00Z", "2018-02-01"),
            ("2018-02-02T00:00:00Z", "2018-02-01T23:59:59Z"),
            ("2018-02-02", "2018-02-01T23:59:59Z"),
        ] {
            let faults = range_of(from, to).unwrap_err();
            assert_eq!(faults, [fault("from_date", "expected a time that is not after to_date".to_owned())], "{from} {to}");
        }
        let empty = range_of("2018-02-02", "2018-02-02T00:00:00Z").unwrap();
        assert_eq!(empty.from, empty.to);
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        const EXPECTED: &str = "expected a date such as 2018-02-07 or an RFC 3339 time such as 2018-02-07T12:30:00Z";
        let query = [("from_date", "2018-02-30"), ("page", "0"), ("page_size", "10001"), ("form_date", "x"), ("cursor", "")];
        let expected = [
            ("form_date", "expected one of the parameters from_date, to_date, page, page_size".to_owned()),
            ("cursor", "expected one of the parameters from_date, to_date, page, page_size".to_owned()),
            ("from_date", format!("{EXPECTED}, got \"2018-02-30\"")),
            ("to_date", format!("{EXPECTED}, got nothing")),
            ("page", "expected 1 to 4294967295, got \"0\"".to_owned()),
            ("page_size", "expected 1 to 10000, got \"10001\"".to_owned()),
        ];
        assert_eq!(faults(&query), expected.map(|(name, detail)| (name.to_owned(), detail)));
    }

    #[test]
    fn what_is_no_date_or_number_is_refused() {
        for bad in
            ["", "2018-2-1", "18-02-01", "2018-02-01T00:00:00", "2018-02-01 ", "1517966773", "+018-02-01", "9999-12-31T23:59:59-01:00"]
        {
            assert_eq!(range_of(bad, "9999-12-31").unwrap_err().len(), 1, "{bad:?}");
        }
        for bad in ["", "0", "-1", "+1", "1.0", "1e3", "99999999999999999999999"] {
            let faults = faults(&[("from_date", "2018-02-01"), ("to_date", "2018-02-01"), ("page", bad), ("page_size", bad)]);
            assert_eq!(faults.len(), 2, "{bad:?}");
        }
        let twice =
            faults(&[("from_date", "2018-02-01"), ("from_date", "2018-02-01"), ("to_date", "2018-02-01"), ("page", "1"), ("page", "1")]);
        assert_eq!(twice, [("from_date".to_owned(), "expected it once".to_owned()), ("page".to_owned(), "expected it once".to_owned())]);
    }

    #[test]
    fn the_last_day_that_can_be_written_is_a_day() {
        let last = range_of("9999-12-31", "9999-12-31").unwrap();
        assert!(last.contains(datetime!(9999-12-31 23:59:59 UTC)));
    }

    proptest! {
        #[test]
        fn any_text_as_a_parameter_never_panics(
            from in "\\PC*|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{8,12}(Z|[+-][0-9]{2}:[0-9]{2}))?",
            to in "\\PC*|[0-9]{4}-[01][0-9]-[0-3][0-9]",
            page in "\\PC*|[0-9]{1,30}",
        ) {
            let _ = parse(&[("from_date", &from), ("to_date", &to), ("page", &page)]);
        }
    }
}
