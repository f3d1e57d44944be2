//! Keys of events that were forwarded: one item each, which expires.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::dedupe::{Mark, SeenKey, SeenKeys};
use domain::store::StoreFault;
use time::OffsetDateTime;

use super::Table;
use super::items::{Item, number, seen_key, seen_key_in};

/// Until when a key is remembered, in milliseconds since 1970. DynamoDB's own expiry may come days later.
const UNTIL: &str = "until";
/// When DynamoDB may remove the item, in seconds since 1970.
const EXPIRES_AT: &str = "expires_at";

#[async_trait::async_trait]
impl SeenKeys for Table {
    async fn seen(&self, keys: &[SeenKey], now: OffsetDateTime) -> Result<Vec<bool>, StoreFault> {
        let wanted: Vec<Item> = keys.iter().map(seen_key).collect();
        let items = self.get_many(&wanted, "could not read keys of events").await?;
        let now = milliseconds(now);
        let seen = items.iter().filter(|item| until(item).is_some_and(|until| until > now)).filter_map(seen_key_in);
        let seen: HashSet<String> = seen.collect();
        Ok(keys.iter().map(|key| seen.contains(&key.to_string())).collect())
    }

    async fn remember(&self, marks: &[Mark], now: OffsetDateTime) -> Result<(), StoreFault> {
        // One call takes no key twice.
        let marks: HashMap<SeenKey, Duration> = marks.iter().map(|mark| (mark.key, mark.window)).collect();
        let items: Vec<Item> = marks.into_iter().map(|(key, window)| item(key, now + window)).collect();
        self.put_many(&items, "could not write keys of events").await
    }
}

fn item(key: SeenKey, until: OffsetDateTime) -> Item {
    let until = milliseconds(until);
    let mut item = seen_key(&key);
    item.insert(UNTIL.to_owned(), number(until));
    item.insert(EXPIRES_AT.to_owned(), number(until / 1_000 + 1));
    item
}

fn until(item: &Item) -> Option<u64> {
    item.get(UNTIL)?.as_n().ok()?.parse().ok()
}

fn milliseconds(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn an_item_names_its_key_and_its_end() {
        let key = SeenKey::new("is-00000001", "$.id", "1");
        let item = item(key, datetime!(2026-01-01 00:00:00.250 UTC));
        assert_eq!(seen_key_in(&item), Some(key.to_string()));
        assert_eq!(until(&item), Some(1_767_225_600_250));
        assert_eq!(item[EXPIRES_AT].as_n().map(String::as_str), Ok("1767225601"));
    }
}
