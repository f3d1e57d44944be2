//! The stats of streams: one item each, made with the stream and removed with it.
//!
//! Counters are numbers of their own in the item, since `ADD` takes no nested ones; those of a processor begin with its place.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use domain::ids::IngestId;
use domain::record::{StreamRecord, rfc3339_text};
use domain::stats::{
    BUCKETS, BatchStats, COUNTED_PROCESSORS, Counters, Histogram, LastError, ProcessorCounters, Stats, StatsReader, StatsWriter,
};
use domain::store::{StoreFault, WriteFault};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Table;
use super::items::{Item, json_text, number, parsed, stats_key, text};
use super::transaction::incomplete;
use crate::fault::store_fault;

#[async_trait::async_trait]
impl StatsWriter for Table {
    async fn add_batch(&self, stream: &IngestId, batch: &BatchStats) -> Result<(), StoreFault> {
        let update = Update::of(batch)?;
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(stats_key(stream)))
            .condition_expression("attribute_exists(pk)")
            .update_expression(update.expression())
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values));
        // A second try could count twice.
        let once = Builder::new().retry_config(RetryConfig::disabled());
        match request.customize().config_override(once).send().await {
            Ok(_) => Ok(()),
            // The stream is gone; what was left of it on the raw stream must not bring its stats back.
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(store_fault("could not write a stream's stats")(error)),
        }
    }
}

#[async_trait::async_trait]
impl StatsReader for Table {
    async fn load_stats(&self, stream: &IngestId) -> Result<Option<Stats>, StoreFault> {
        let item = self.get(stats_key(stream), "could not read a stream's stats").await?;
        item.as_ref().map(stats).transpose()
    }
}

impl Table {
    /// Begins a new stream's stats, under a name that no other stream may have.
    pub(super) fn put_stats(&self, record: &StreamRecord) -> Result<TransactWriteItem, WriteFault> {
        let mut item = stats_key(&record.ingest_id);
        item.insert(SINCE.to_owned(), text(rfc3339_text(record.created_at)));
        let put = Put::builder().table_name(&self.name).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        Ok(TransactWriteItem::builder().put(put.build().map_err(incomplete)?).build())
    }
}

const SINCE: &str = "since";
const UPDATED_AT: &str = "updated_at";
const ITERATOR_AGE: &str = "iterator_age_ms";
const LAST_EVENT_AT: &str = "last_event_at";
const LAST_ERROR: &str = "last_error";

/// The counters by the names of their attributes.
fn named(counters: &mut Counters) -> [(&'static str, &mut u64); 9] {
    let Counters { received, received_bytes, forwarded, filtered, deduplicated, dead_lettered, sent, sent_bytes, letters_sent } = counters;
    [
        ("received", received),
        ("received_bytes", received_bytes),
        ("forwarded", forwarded),
        ("filtered", filtered),
        ("deduplicated", deduplicated),
        ("dead_lettered", dead_lettered),
        ("sent", sent),
        ("sent_bytes", sent_bytes),
        ("letters_sent", letters_sent),
    ]
}

/// The counters of a processor by the names of their attributes, which are short: there can be many.
fn named_of(index: usize, counters: &mut ProcessorCounters) -> [(String, &mut u64); 3] {
    let ProcessorCounters { received, sent, failed } = counters;
    [(format!("p{index}r"), received), (format!("p{index}s"), sent), (format!("p{index}f"), failed)]
}

/// Short, so that an item with every bucket in it still costs little to write.
fn bucket_name(bucket: usize) -> String {
    format!("l{bucket}")
}

/// An update under way: its clauses, and what stands for names and values in them.
#[derive(Default)]
struct Update {
    set: Vec<String>,
    add: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Update {
    fn of(batch: &BatchStats) -> Result<Self, StoreFault> {
        let mut update = Self::default();
        update.set(UPDATED_AT, text(rfc3339_text(batch.ended_at)));
        update.set(ITERATOR_AGE, number(milliseconds(batch.iterator_age)));
        if let Some(last_event_at) = batch.last_event_at {
            update.set(LAST_EVENT_AT, text(rfc3339_text(last_event_at)));
        }
        if let Some(last_error) = &batch.last_error {
            update.set(LAST_ERROR, json_text(last_error)?);
        }
        let mut counters = batch.counters;
        for (name, count) in named(&mut counters).into_iter().filter(|(_, count)| **count > 0) {
            update.add(name, *count);
        }
        for (index, counters) in batch.processors.iter().enumerate() {
            let mut counters = *counters;
            for (name, count) in named_of(index, &mut counters).into_iter().filter(|(_, count)| **count > 0) {
                update.add(&name, *count);
            }
        }
        for (bucket, count) in batch.latency.buckets() {
            update.add(&bucket_name(bucket), count);
        }
        Ok(update)
    }

    fn set(&mut self, name: &str, value: AttributeValue) {
        let (name, value) = self.placeholders(name, value);
        self.set.push(format!("{name} = {value}"));
    }

    fn add(&mut self, name: &str, count: u64) {
        let (name, value) = self.placeholders(name, number(count));
        self.add.push(format!("{name} {value}"));
    }

    /// No name can then be one of the words that DynamoDB keeps for itself.
    fn placeholders(&mut self, name: &str, value: AttributeValue) -> (String, String) {
        let (name_placeholder, value_placeholder) = (format!("#{name}"), format!(":{name}"));
        self.names.insert(name_placeholder.clone(), name.to_owned());
        self.values.insert(value_placeholder.clone(), value);
        (name_placeholder, value_placeholder)
    }

    fn expression(&self) -> String {
        let set = format!("SET {}", self.set.join(", "));
        if self.add.is_empty() { set } else { format!("{set} ADD {}", self.add.join(", ")) }
    }
}

fn stats(item: &Item) -> Result<Stats, StoreFault> {
    let mut counters = Counters::default();
    for (name, counted) in named(&mut counters) {
        *counted = count(item, name)?.unwrap_or(0);
    }
    let mut processors = Vec::new();
    for index in 0..COUNTED_PROCESSORS {
        let mut counters = ProcessorCounters::default();
        for (name, counted) in named_of(index, &mut counters) {
            *counted = count(item, &name)?.unwrap_or(0);
        }
        processors.push(counters);
    }
    while processors.last().is_some_and(|counters| *counters == ProcessorCounters::default()) {
        processors.pop();
    }
    let mut latency = Histogram::default();
    for bucket in 0..BUCKETS {
        latency.add_to_bucket(bucket, count(item, &bucket_name(bucket))?.unwrap_or(0));
    }
    let last_error: Option<LastError> = item.get(LAST_ERROR).map(|_| parsed(item, LAST_ERROR)).transpose()?;
    Ok(Stats {
        counters,
        processors,
        latency,
        last_event_at: time(item, LAST_EVENT_AT)?,
        last_error,
        iterator_age: count(item, ITERATOR_AGE)?.map(Duration::from_millis),
        since: time(item, SINCE)?.ok_or_else(|| unreadable(SINCE))?,
        updated_at: time(item, UPDATED_AT)?,
    })
}

fn count(item: &Item, attribute: &str) -> Result<Option<u64>, StoreFault> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    let counted = value.as_n().ok().and_then(|digits| digits.parse().ok());
    counted.map(Some).ok_or_else(|| unreadable(attribute))
}

fn time(item: &Item, attribute: &str) -> Result<Option<OffsetDateTime>, StoreFault> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    let at = value.as_s().ok().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    at.map(Some).ok_or_else(|| unreadable(attribute))
}

fn unreadable(attribute: &str) -> StoreFault {
    StoreFault::new(format!("unreadable attribute {attribute}"))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::dead_letter::Reason;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn batch() -> BatchStats {
        let mut batch = BatchStats::begun(START);
        for seconds in [1, 2, 2] {
            batch.count_event(10, START, START + Duration::from_secs(seconds));
        }
        batch.counters = Counters {
            forwarded: 2,
            dead_lettered: 1,
            sent: 3,
            sent_bytes: 24,
            letters_sent: 1,
            filtered: 0,
            deduplicated: 0,
            ..batch.counters
        };
        batch.processors =
            vec![ProcessorCounters { received: 3, sent: 2, failed: 1 }, ProcessorCounters { received: 2, sent: 2, failed: 0 }];
        batch.last_error = Some(LastError::new(START, &Reason { code: "undecodable".into(), detail: "not JSON".into() }));
        batch.end(Some(START), START + Duration::from_millis(2_500));
        batch
    }

    /// Does to an item what DynamoDB does.
    fn apply(update: &Update, item: &mut Item) {
        for clause in &update.set {
            let (name, value) = clause.split_once(" = ").unwrap();
            item.insert(update.names[name].clone(), update.values[value].clone());
        }
        for clause in &update.add {
            let (name, value) = clause.split_once(' ').unwrap();
            let before = count(item, &update.names[name]).unwrap().unwrap_or(0);
            let added: u64 = update.values[value].as_n().unwrap().parse().unwrap();
            item.insert(update.names[name].clone(), number(before + added));
        }
    }

    #[test]
    fn what_batches_write_is_what_a_reader_finds() {
        let mut item = Item::from([(SINCE.to_owned(), text("2026-01-01T00:00:00Z"))]);
        let mut expected = Stats::begun(START);
        assert_eq!(stats(&item).unwrap(), expected);
        let mut idle = BatchStats::begun(START);
        idle.end(None, START + Duration::from_secs(9));
        for batch in [batch(), batch(), idle] {
            apply(&Update::of(&batch).unwrap(), &mut item);
            expected.add(&batch);
            assert_eq!(stats(&item).unwrap(), expected);
        }
        assert_eq!((expected.counters.received, expected.latency.total()), (6, 6));
    }

    #[test]
    fn an_update_adds_only_what_there_is() {
        let mut idle = BatchStats::begun(START);
        assert_eq!(Update::of(&idle).unwrap().expression(), "SET #updated_at = :updated_at, #iterator_age_ms = :iterator_age_ms");
        idle.count_event(10, START, START + Duration::from_millis(3));
        assert_eq!(
            Update::of(&idle).unwrap().expression(),
            "SET #updated_at = :updated_at, #iterator_age_ms = :iterator_age_ms, #last_event_at = :last_event_at \
             ADD #received :received, #received_bytes :received_bytes, #l3 :l3"
        );
    }

    #[test]
    fn the_longest_update_is_within_the_limit_of_an_expression() {
        let mut batch = batch();
        (0..BUCKETS).for_each(|bucket| batch.latency.add_to_bucket(bucket, 1));
        batch.counters.filtered = 1;
        batch.counters.deduplicated = 1;
        batch.processors = vec![ProcessorCounters { received: 1, sent: 1, failed: 1 }; COUNTED_PROCESSORS];
        // <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>: 4 KB.
        let update = Update::of(&batch).unwrap();
        assert_eq!(update.add.len(), BUCKETS + 9 + 3 * COUNTED_PROCESSORS);
        assert!(update.expression().len() < 4_096, "{}", update.expression().len());
    }

    #[test]
    fn an_item_that_cannot_be_read_is_a_fault() {
        assert!(stats(&Item::new()).is_err());
        let item = Item::from([(SINCE.to_owned(), text("2026-01-01T00:00:00Z")), ("sent".to_owned(), text("many"))]);
        assert_eq!(stats(&item).unwrap_err().to_string(), "unreadable attribute sent");
    }
}
