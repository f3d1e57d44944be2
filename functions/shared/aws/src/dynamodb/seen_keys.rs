//! Keys of events that were forwarded: one item each, which expires.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, WriteRequest};
use domain::dedupe::{Mark, SeenKey, SeenKeys};
use domain::store::StoreFault;
use futures::stream::{self, StreamExt, TryStreamExt};
use time::OffsetDateTime;

use super::Table;
use super::items::{Item, number, seen_key, seen_key_in};
use super::transaction::incomplete;
use crate::fault::store_fault;

/// Items in one `BatchGetItem` call (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>).
const MAX_GETS: usize = 100;
/// Items in one `BatchWriteItem` call (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>).
const MAX_WRITES: usize = 25;
/// Calls at once. Ours.
const CALLS_AT_ONCE: usize = 8;
/// How often what DynamoDB left undone is tried again, and the pause before the first time, which doubles.
const ROUNDS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(25);

/// Until when a key is remembered, in milliseconds since 1970. DynamoDB's own expiry may come days later.
const UNTIL: &str = "until";
/// When DynamoDB may remove the item, in seconds since 1970.
const EXPIRES_AT: &str = "expires_at";

#[async_trait::async_trait]
impl SeenKeys for Table {
    async fn seen(&self, keys: &[SeenKey], now: OffsetDateTime) -> Result<Vec<bool>, StoreFault> {
        let now = milliseconds(now);
        let calls: Vec<_> = keys.chunks(MAX_GETS).map(|chunk| self.get_seen(chunk, now)).collect();
        let found: Vec<HashSet<String>> = stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).try_collect().await?;
        let found: HashSet<String> = found.into_iter().flatten().collect();
        Ok(keys.iter().map(|key| found.contains(&key.to_string())).collect())
    }

    async fn remember(&self, marks: &[Mark], now: OffsetDateTime) -> Result<(), StoreFault> {
        // One call takes no key twice.
        let marks: HashMap<SeenKey, Duration> = marks.iter().map(|mark| (mark.key, mark.window)).collect();
        let items: Vec<Item> = marks.into_iter().map(|(key, window)| item(key, now + window)).collect();
        let calls: Vec<_> = items.chunks(MAX_WRITES).map(|chunk| self.put_seen(chunk)).collect();
        stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).try_collect().await
    }
}

impl Table {
    /// Returns those of the keys that are remembered.
    async fn get_seen(&self, keys: &[SeenKey], now: u64) -> Result<HashSet<String>, StoreFault> {
        let mut found = HashSet::new();
        let mut wanted: Vec<Item> = keys.iter().map(seen_key).collect();
        for round in 0..ROUNDS {
            pause_before(round).await;
            let request = KeysAndAttributes::builder().set_keys(Some(std::mem::take(&mut wanted))).consistent_read(true);
            let request = request.build().map_err(incomplete)?;
            let answer = self.client.batch_get_item().request_items(&self.name, request).send().await;
            let answer = answer.map_err(store_fault("could not read keys of events"))?;
            let items = answer.responses.into_iter().flat_map(|mut tables| tables.remove(&self.name).unwrap_or_default());
            found.extend(items.filter(|item| until(item).is_some_and(|until| until > now)).filter_map(|item| seen_key_in(&item)));
            wanted = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.name)).map(|rest| rest.keys).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(found);
            }
        }
        Err(StoreFault::new("the table left keys of events unread"))
    }

    async fn put_seen(&self, items: &[Item]) -> Result<(), StoreFault> {
        let mut wanted = Vec::with_capacity(items.len());
        for item in items {
            let put = PutRequest::builder().set_item(Some(item.clone())).build().map_err(incomplete)?;
            wanted.push(WriteRequest::builder().put_request(put).build());
        }
        for round in 0..ROUNDS {
            pause_before(round).await;
            let answer = self.client.batch_write_item().request_items(&self.name, std::mem::take(&mut wanted)).send().await;
            let answer = answer.map_err(store_fault("could not write keys of events"))?;
            wanted = answer.unprocessed_items.and_then(|mut tables| tables.remove(&self.name)).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(());
            }
        }
        Err(StoreFault::new("the table left keys of events unwritten"))
    }
}

async fn pause_before(round: u32) {
    if let Some(nth) = round.checked_sub(1) {
        tokio::time::sleep(PAUSE * 2_u32.pow(nth)).await;
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
