//! Durations as people write them: `300ms`, `1s`, `10m`, `1h30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest duration, in milliseconds: 365 days. Ours.
const MAX_MILLIS: u64 = 365 * 24 * 3_600_000;

/// The units, the largest first, and their milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A duration that a document names: whole numbers with units, as Bento and Go write it. More than 0, at most 365 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DurationText {
    millis: u64,
}

impl DurationText {
    /// So many seconds.
    pub const fn of_seconds(seconds: u32) -> Self {
        Self { millis: seconds as u64 * 1_000 }
    }

    /// The duration itself.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as 300ms, 1s, 10m or 1h30m, more than 0 and at most 8760h, got {0:?}")]
pub struct InvalidDuration(String);

impl FromStr for DurationText {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let millis = millis(text).filter(|millis| (1..=MAX_MILLIS).contains(millis));
        millis.map(|millis| Self { millis }).ok_or_else(|| InvalidDuration(text.chars().take(60).collect()))
    }
}

fn millis(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
        let (unit, next) = behind.split_at(behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len()));
        let (_, each) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*each)?)?;
        rest = next;
    }
    Some(total)
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, each)| self.millis.is_multiple_of(*each));
        let (unit, each) = whole.unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", self.millis / each)
    }
}

impl TryFrom<String> for DurationText {
    type Error = InvalidDuration;

    fn try_from(text: String) -> Result<Self, InvalidDuration> {
        text.parse()
    }
}

impl From<DurationText> for String {
    fn from(duration: DurationText) -> Self {
        duration.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_and_written_in_its_largest_whole_unit() {
        for (text, millis, written) in [
            ("1s", 1_000, "1s"),
            ("300ms", 300, "300ms"),
            ("10m", 600_000, "10m"),
            ("1h30m", 5_400_000, "90m"),
            ("8760h", MAX_MILLIS, "8760h"),
        ] {
            let read: DurationText = text.parse().unwrap();
            assert_eq!((read.duration(), read.to_string().as_str()), (Duration::from_millis(millis), written));
            assert_eq!(read.to_string().parse(), Ok(read));
        }
        assert_eq!(DurationText::of_seconds(1), "1s".parse().unwrap());
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for bad in ["", "0s", "10", "s", "1x", "-1s", "1.5h", "1 s", "1s ", "8761h", "99999999999999999999h", "1e3s", "ås"] {
            assert!(bad.parse::<DurationText>().is_err(), "{bad:?}");
        }
        let message = "soon".parse::<DurationText>().unwrap_err().to_string();
        assert_eq!(message, r#"expected a duration such as 300ms, 1s, 10m or 1h30m, more than 0 and at most 8760h, got "soon""#);
    }
}
