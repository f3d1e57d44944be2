//! What rate limits have given out: one item a window, which expires.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::rate_lease::{RateLeases, Window};
use domain::store::StoreFault;

use super::Table;
use super::items::{Item, number, text};
use crate::fault::store_fault;

/// How long the store may take to answer. Ours: a request waits for it, and passes when there is no answer.
const LEASE_TIME: Duration = Duration::from_millis(300);
/// How long an item stays after its window, in seconds: clocks differ.
const KEPT_SECONDS: u64 = 60;

/// How many events of the window all instances have leased.
const TAKEN: &str = "taken";
/// When DynamoDB may remove the item, in seconds since 1970.
const EXPIRES_AT: &str = "expires_at";
const RATE: &str = "RATE";

#[async_trait::async_trait]
impl RateLeases for Table {
    async fn lease(&self, limit: &str, window: Window, wanted: u32) -> Result<u64, StoreFault> {
        let leased = self.add_taken(limit, window, wanted).await;
        leased.inspect_err(|fault| tracing::warn!(rate_limit.name = limit, error = fault.chain(), "could not lease from a rate limit"))
    }
}

impl Table {
    async fn add_taken(&self, limit: &str, window: Window, wanted: u32) -> Result<u64, StoreFault> {
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(rate_key(limit, window)))
            .update_expression(format!("SET {EXPIRES_AT} = :expires ADD {TAKEN} :wanted"))
            .expression_attribute_values(":expires", number(expires_at(window)))
            .expression_attribute_values(":wanted", number(wanted.into()))
            .return_values(ReturnValue::UpdatedNew);
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(LEASE_TIME).operation_timeout(LEASE_TIME).build();
        // A second try could count twice, and there is no time for one.
        let quick = Builder::new().retry_config(RetryConfig::disabled()).timeout_config(timeouts);
        let answer = request.customize().config_override(quick).send().await;
        let answer = answer.map_err(store_fault("could not count the events of a rate limit"))?;
        total(answer.attributes())
    }
}

/// Each window has its partition. Its beginning stands in milliseconds, since windows may be shorter than a second.
fn rate_key(limit: &str, window: Window) -> Item {
    let starts_at = window.starts_at.unix_timestamp_nanos() / 1_000_000;
    Item::from([("pk".to_owned(), text(format!("{RATE}#{limit}#{starts_at}"))), ("sk".to_owned(), text(RATE))])
}

fn expires_at(window: Window) -> u64 {
    u64::try_from(window.ends_at.unix_timestamp()).unwrap_or(0).saturating_add(KEPT_SECONDS)
}

fn total(attributes: Option<&Item>) -> Result<u64, StoreFault> {
    let digits = attributes.and_then(|item| item.get(TAKEN)).and_then(|value| value.as_n().ok());
    let total = digits.and_then(|digits| digits.parse().ok());
    total.ok_or_else(|| StoreFault::new(format!("unreadable attribute {TAKEN}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_window_has_an_item_of_its_own_which_outlives_it() {
        let window = Window { starts_at: datetime!(2026-01-01 00:00:00.300 UTC), ends_at: datetime!(2026-01-01 00:00:00.600 UTC) };
        let key = Item::from([("pk".to_owned(), text("RATE#waste#per-sender#1767225600300")), ("sk".to_owned(), text("RATE"))]);
        assert_eq!(rate_key("waste#per-sender", window), key);
        assert_eq!(expires_at(window), 1_767_225_660);
    }

    #[test]
    fn an_answer_says_the_total() {
        let answer = Item::from([(TAKEN.to_owned(), number(5_000_000_000)), (EXPIRES_AT.to_owned(), number(1))]);
        assert_eq!(total(Some(&answer)).unwrap(), 5_000_000_000);
        for unreadable in [None, Some(Item::new()), Some(Item::from([(TAKEN.to_owned(), text("5"))]))] {
            assert_eq!(total(unreadable.as_ref()).unwrap_err().to_string(), "unreadable attribute taken");
        }
    }
}
