//! Many items at once, each by itself: not all or nothing.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, WriteRequest};
use domain::store::StoreFault;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::Table;
use super::items::Item;
use super::transaction::incomplete;
use crate::fault::store_fault;

/// Items in one `BatchGetItem` call (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>).
const MAX_GETS: usize = 100;
/// Items in one `BatchWriteItem` call (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>).
const MAX_WRITES: usize = 25;
/// Calls at once. Ours.
const CALLS_AT_ONCE: usize = 8;
/// How often what DynamoDB left undone is tried.
const ROUNDS: u32 = 5;

impl Table {
    /// Reads items as they are now, in no order; those that are not there are left out. No key may stand there twice.
    pub(super) async fn get_many(&self, keys: &[Item], tried: &str) -> Result<Vec<Item>, StoreFault> {
        let calls: Vec<_> = keys.chunks(MAX_GETS).map(|chunk| self.get_some(chunk.to_vec(), tried)).collect();
        let found: Vec<Vec<Item>> = stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Writes items, in no order and whatever was there. No key may stand there twice.
    pub(super) async fn put_many(&self, items: &[Item], tried: &str) -> Result<(), StoreFault> {
        let calls: Vec<_> = items.chunks(MAX_WRITES).map(|chunk| self.put_some(chunk, tried)).collect();
        stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).try_collect().await
    }

    async fn get_some(&self, mut keys: Vec<Item>, tried: &str) -> Result<Vec<Item>, StoreFault> {
        let mut items = Vec::with_capacity(keys.len());
        for round in 0..ROUNDS {
            pause_before(round).await;
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().map_err(incomplete)?;
            let request = self.client.batch_get_item().request_items(&self.name, wanted);
            let output = request.send().await.map_err(store_fault(tried))?;
            items.extend(output.responses.into_iter().flat_map(HashMap::into_values).flatten());
            keys = output.unprocessed_keys.into_iter().flat_map(HashMap::into_values).flat_map(|rest| rest.keys).collect();
            if keys.is_empty() {
                return Ok(items);
            }
        }
        Err(StoreFault::new(format!("{tried}: {} keys were not answered", keys.len())))
    }

    async fn put_some(&self, items: &[Item], tried: &str) -> Result<(), StoreFault> {
        let mut writes = Vec::with_capacity(items.len());
        for item in items {
            let put = PutRequest::builder().set_item(Some(item.clone())).build().map_err(incomplete)?;
            writes.push(WriteRequest::builder().put_request(put).build());
        }
        for round in 0..ROUNDS {
            pause_before(round).await;
            let request = self.client.batch_write_item().request_items(&self.name, writes);
            let output = request.send().await.map_err(store_fault(tried))?;
            writes = output.unprocessed_items.into_iter().flat_map(HashMap::into_values).flatten().collect();
            if writes.is_empty() {
                return Ok(());
            }
        }
        Err(StoreFault::new(format!("{tried}: {} items were not written", writes.len())))
    }
}

/// Waits before what was left undone is tried again, longer each time.
async fn pause_before(round: u32) {
    if round > 0 {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(5..50) * u64::from(round))).await;
    }
}
