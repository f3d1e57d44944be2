//! Writes of several items, all or nothing.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use domain::store::{StoreFault, WriteFault};

use super::Table;
use super::items::Item;
use crate::fault::store_fault;

/// How often a transaction that met another one is tried.
const TRANSACTION_ATTEMPTS: u32 = 4;

impl Table {
    pub(super) fn put(&self, item: Item) -> Result<TransactWriteItem, WriteFault> {
        let put = Put::builder().table_name(&self.name).set_item(Some(item)).build().map_err(incomplete)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    pub(super) fn delete(&self, key: Item) -> Result<TransactWriteItem, WriteFault> {
        let delete = Delete::builder().table_name(&self.name).set_key(Some(key)).build().map_err(incomplete)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// Writes all or nothing. A transaction that only met another one is tried again.
    pub(super) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<(), WriteFault> {
        for attempt in 1.. {
            let Err(error) = self.client.transact_write_items().set_transact_items(Some(writes.clone())).send().await else {
                return Ok(());
            };
            match cancellation(&error) {
                Some(Cancelled::Condition) => return Err(WriteFault::Conflict),
                Some(Cancelled::Contention) if attempt < TRANSACTION_ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(5..50) * u64::from(attempt))).await;
                }
                _ => return Err(store_fault("could not write")(error).into()),
            }
        }
        Err(WriteFault::Conflict)
    }
}

/// Why a transaction wrote nothing.
enum Cancelled {
    /// A condition did not hold.
    Condition,
    /// Another transaction ran on the same items.
    Contention,
}

fn cancellation<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<Cancelled> {
    let service_error = error.as_service_error()?;
    if service_error.code() == Some("TransactionInProgressException") {
        return Some(Cancelled::Contention);
    }
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = service_error else { return None };
    let has = |code: &str| cancelled.cancellation_reasons().iter().any(|reason| reason.code() == Some(code));
    if has("ConditionalCheckFailed") {
        Some(Cancelled::Condition)
    } else if has("TransactionConflict") {
        Some(Cancelled::Contention)
    } else {
        None
    }
}

pub(super) fn incomplete(error: aws_sdk_dynamodb::error::BuildError) -> StoreFault {
    StoreFault { message: "incomplete request".to_owned(), source: Some(error.into()) }
}
