//! Items of the table: their keys, and records as attributes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::api_key::ApiKey;
use domain::dead_letter::LetterId;
use domain::dedupe::SeenKey;
use domain::ids::{ApiKeyId, IngestId, Owner, StreamId, StreamKey};
use domain::record::{Part, StreamRecord};
use domain::resource::{Resource, ResourceKey, ResourceUser};
use domain::store::StoreFault;
use serde_json::json;

/// An item's attributes.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The sort keys of items that stand alone in their partition.
const SOURCE: &str = "SOURCE";
const STACK: &str = "STACK";
const CLAIM: &str = "CLAIM";
const STATS: &str = "STATS";
const INGEST: &str = "INGEST";
const SEEN: &str = "SEEN";
const SEEN_PREFIX: &str = "SEEN#";
const API_KEY: &str = "APIKEY";
const LETTER: &str = "LETTER";
const SEQUENCE: &str = "SEQUENCE";

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(partition: String, sort: impl Into<String>) -> Item {
    Item::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort))])
}

pub(super) fn owner_partition(owner: &Owner) -> String {
    format!("OWNER#{owner}")
}

/// Begins the sort key of every version of a stream.
pub(super) fn versions_prefix(id: &StreamId) -> String {
    format!("STREAM#{id}#")
}

pub(super) fn stream_key(owner: &Owner, stream: &StreamKey) -> Item {
    key(owner_partition(owner), format!("{}{}", versions_prefix(&stream.id), stream.version))
}

/// Begins the sort key of every config that a stream had.
pub(super) fn configs_prefix(stream: &StreamKey) -> String {
    format!("CONFIG#{}#{}#", stream.id, stream.version)
}

/// Sorts as the numbers do.
pub(super) fn config_sort_key(stream: &StreamKey, number: u32) -> String {
    format!("{}{number:010}", configs_prefix(stream))
}

pub(super) fn config_key(owner: &Owner, stream: &StreamKey, number: u32) -> Item {
    key(owner_partition(owner), config_sort_key(stream, number))
}

/// A record's newest config.
pub(super) fn config_item(record: &StreamRecord) -> Result<Item, StoreFault> {
    let config = record.newest_config();
    let mut item = config_key(&record.owner, &record.key, config.summary.number);
    item.insert("summary".to_owned(), json_text(&config.summary)?);
    item.insert("posted".to_owned(), json_text(&config.posted)?);
    Ok(item)
}

pub(super) fn claim_key(id: &StreamId) -> Item {
    key(format!("CLAIM#{id}"), CLAIM)
}

pub(super) fn source_key(raw_stream: &str) -> Item {
    key(format!("SOURCE#{raw_stream}"), SOURCE)
}

pub(super) fn stack_key(stack_name: &str) -> Item {
    key(format!("STACK#{stack_name}"), STACK)
}

pub(super) fn stats_key(stream: &IngestId) -> Item {
    key(format!("STATS#{stream}"), STATS)
}

pub(super) fn ingest_key(id: &IngestId) -> Item {
    key(format!("INGEST#{id}"), INGEST)
}

/// Which stream a name for ingest means.
pub(super) fn ingest_item(record: &StreamRecord) -> Item {
    let mut item = ingest_key(&record.ingest_id);
    item.insert("owner".to_owned(), text(record.owner.as_str()));
    item.insert("stream".to_owned(), text(json!(record.key).to_string()));
    item
}

pub(super) fn seen_key(seen: &SeenKey) -> Item {
    key(format!("{SEEN_PREFIX}{seen}"), SEEN)
}

/// The key of an event that an item is about.
pub(super) fn seen_key_in(item: &Item) -> Option<String> {
    item.get("pk").and_then(|value| value.as_s().ok())?.strip_prefix(SEEN_PREFIX).map(str::to_owned)
}

/// What is kept of a dead letter. Each has its partition, since a partition takes 1,000 writes a second
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>).
pub(super) fn letter_key(stream: &IngestId, letter: &LetterId) -> Item {
    key(format!("LETTERS#{stream}#{letter}"), LETTER)
}

/// What is kept of an event that was put back, under what names it on its raw stream.
pub(super) fn sequence_key(stream: &IngestId, sequence_number: &str) -> Item {
    key(format!("LETTERS#{stream}#{sequence_number}"), SEQUENCE)
}

pub(super) fn signing_key(kid: &str) -> Item {
    key("KEYS".to_owned(), format!("KEY#{kid}"))
}

pub(super) fn api_keys_partition(owner: &Owner) -> String {
    format!("APIKEYS#{owner}")
}

pub(super) fn api_key_key(owner: &Owner, id: &ApiKeyId) -> Item {
    key(api_keys_partition(owner), format!("KEY#{id}"))
}

pub(super) fn api_key_owner_key(id: &ApiKeyId) -> Item {
    key(format!("APIKEY#{id}"), API_KEY)
}

pub(super) fn api_key_item(api_key: &ApiKey) -> Result<Item, StoreFault> {
    let mut item = api_key_key(&api_key.owner, &api_key.id);
    item.insert("record".to_owned(), json_text(api_key)?);
    item.insert("revision".to_owned(), number(api_key.revision));
    Ok(item)
}

/// Whose an API key is.
pub(super) fn api_key_owner_item(api_key: &ApiKey) -> Item {
    let mut item = api_key_owner_key(&api_key.id);
    item.insert("owner".to_owned(), text(api_key.owner.as_str()));
    item
}

/// The owner that an item names.
pub(super) fn owner_in(item: &Item) -> Option<Owner> {
    item.get("owner").and_then(|value| value.as_s().ok()).and_then(|owner| owner.parse().ok())
}

pub(super) fn json_text(record: &impl serde::Serialize) -> Result<AttributeValue, StoreFault> {
    json(record).map(text)
}

fn json(record: &impl serde::Serialize) -> Result<String, StoreFault> {
    let json = serde_json::to_string(record);
    json.map_err(|error| StoreFault { message: "could not write a record".into(), source: Some(error.into()) })
}

pub(super) fn resource_key(owner: &Owner, resource: &ResourceKey) -> Item {
    key(owner_partition(owner), format!("RESOURCE#{}#{}", resource.kind, resource.id))
}

/// A member of the set `used_by`.
pub(super) fn resource_user(user: &ResourceUser) -> Result<String, StoreFault> {
    json(user)
}

/// A resource with its users. An item without a revision is what users left behind of one that was taken out of the table by hand.
pub(super) fn resource_in(item: &Item) -> Result<Option<Resource>, StoreFault> {
    if !item.contains_key("revision") {
        return Ok(None);
    }
    let mut resource: Resource = parsed(item, "record")?;
    let users = item.get("used_by").and_then(|users| users.as_ss().ok()).into_iter().flatten();
    resource.used_by = users.map(|user| from_json(user, "used_by")).collect::<Result<_, _>>()?;
    Ok(Some(resource))
}

/// A stream's item. `faulty` stands only on those with a failed part: the sparse index holds no others.
pub(super) fn stream_item(record: &StreamRecord) -> Result<Item, StoreFault> {
    let mut item = stream_key(&record.owner, &record.key);
    item.insert("record".to_owned(), json_text(record)?);
    item.insert("revision".to_owned(), number(record.revision));
    if record.is_faulty() {
        item.insert("faulty".to_owned(), text("yes"));
    }
    Ok(item)
}

pub(super) fn stream_record(item: &Item) -> Result<StreamRecord, StoreFault> {
    parsed(item, "record")
}

/// Where a raw stream's records go, if there is one.
pub(super) fn source_item(record: &StreamRecord) -> Option<Item> {
    let mut item = source_key(record.resources.raw_stream.as_deref()?);
    item.insert("route".to_owned(), text(json!(record.route()).to_string()));
    Some(item)
}

/// What a stack was made for.
pub(super) fn stack_item(record: &StreamRecord, part: Part, stack_name: &str) -> Item {
    let mut item = stack_key(stack_name);
    item.insert("owner".to_owned(), text(record.owner.as_str()));
    item.insert("stream".to_owned(), text(json!(record.key).to_string()));
    item.insert("part".to_owned(), text(json!(part).to_string()));
    item
}

/// Reads an attribute that holds JSON.
pub(super) fn parsed<T: serde::de::DeserializeOwned>(item: &Item, attribute: &str) -> Result<T, StoreFault> {
    from_json(item.get(attribute).and_then(|value| value.as_s().ok()).map_or("", String::as_str), attribute)
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str, attribute: &str) -> Result<T, StoreFault> {
    serde_json::from_str(text)
        .map_err(|error| StoreFault { message: format!("unreadable attribute {attribute}"), source: Some(error.into()) })
}
