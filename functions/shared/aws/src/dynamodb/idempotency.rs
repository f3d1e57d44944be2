//! Idempotency keys: one item each, which is a claim, and then an answer, and expires.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use domain::idempotency::{Claim, Claimed, Fingerprint, IdempotencyKey, IdempotencyKeys, KeptAnswer, KeptKey};
use domain::store::StoreFault;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use time::OffsetDateTime;

use super::Table;
use super::items::{Item, number, text};
use crate::fault::store_fault;

/// The largest body that is kept, compressed, in bytes: a DynamoDB item takes 400 KB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>), less room for the rest of it.
const MAX_KEPT_BODY_BYTES: usize = 350 * 1024;

/// The same before it is compressed: a Lambda's answer may be 6 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const MAX_ANSWER_BYTES: usize = 6 * 1024 * 1024;

/// Stands in for a body that is larger.
const TOO_LARGE: &str = r#"{"detail": "the first answer is too large to be repeated; its status is all that is kept"}"#;

const FINGERPRINT: &str = "fingerprint";
const TOKEN: &str = "token";
/// When the claim, or the answer, runs out, in milliseconds since 1970. DynamoDB's own expiry may come days later.
const UNTIL: &str = "until";
/// When DynamoDB may remove the item, in seconds since 1970.
const EXPIRES_AT: &str = "expires_at";
/// Stands on items with an answer, and on no others.
const STATUS: &str = "status";
const CONTENT_TYPE: &str = "content_type";
const RETRY_AFTER: &str = "retry_after";
const BODY: &str = "body";

// Some of these names are words that DynamoDB keeps for itself: in an expression, each stands behind a `#`.

#[async_trait::async_trait]
impl IdempotencyKeys for Table {
    async fn claim(
        &self,
        key: &IdempotencyKey,
        fingerprint: &Fingerprint,
        claim: &Claim,
        now: OffsetDateTime,
    ) -> Result<Claimed, StoreFault> {
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(claimed_item(key, fingerprint, claim)))
            .condition_expression("attribute_not_exists(pk) OR #until <= :now")
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_values(":now", number(milliseconds(now)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = request.send().await else { return Ok(Claimed::Mine) };
        let refused_by = match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refusal)) => refusal.item().cloned(),
            _ => return Err(store_fault("could not claim an idempotency key")(error)),
        };
        let item = match refused_by {
            Some(item) => Some(item),
            None => self.get(idempotency_key(key), "could not read an idempotency key").await?,
        };
        match item {
            Some(item) => Ok(kept_key(&item)?.met_by(fingerprint, claim)),
            // It was given up in between: the next try finds it free.
            None => Ok(Claimed::InFlight),
        }
    }

    async fn keep(&self, key: &IdempotencyKey, claim: &Claim, answer: &KeptAnswer, until: OffsetDateTime) -> Result<(), StoreFault> {
        let mut attributes = kept(answer)?;
        attributes.extend(ends(until));
        let update = Update::setting(attributes);
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(idempotency_key(key)))
            .condition_expression("#token = :token")
            .update_expression(update.expression)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .expression_attribute_names("#token", TOKEN)
            .expression_attribute_values(":token", text(&claim.token));
        match request.send().await {
            Ok(_) => Ok(()),
            // The claim ran out, and is somebody else's or gone.
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(store_fault("could not keep an answer")(error)),
        }
    }

    async fn release(&self, key: &IdempotencyKey, claim: &Claim) -> Result<(), StoreFault> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(idempotency_key(key)))
            .condition_expression("#token = :token AND attribute_not_exists(#status)")
            .expression_attribute_names("#token", TOKEN)
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_values(":token", text(&claim.token));
        match request.send().await {
            Ok(_) => Ok(()),
            // It ran out, and is somebody else's; or a first try removed it, and its answer was lost.
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(store_fault("could not release an idempotency key")(error)),
        }
    }
}

/// An update that sets attributes, under names that cannot be taken for words of DynamoDB.
struct Update {
    expression: String,
    names: HashMap<String, String>,
    values: Item,
}

impl Update {
    fn setting(attributes: Item) -> Self {
        let mut clauses: Vec<String> = attributes.keys().map(|name| format!("#{name} = :{name}")).collect();
        clauses.sort();
        let names = attributes.keys().map(|name| (format!("#{name}"), name.clone())).collect();
        let values = attributes.into_iter().map(|(name, value)| (format!(":{name}"), value)).collect();
        Self { expression: format!("SET {}", clauses.join(", ")), names, values }
    }
}

/// Each key has its partition, since a partition takes 1,000 writes a second.
fn idempotency_key(key: &IdempotencyKey) -> Item {
    Item::from([("pk".to_owned(), text(format!("IDEMPOTENCY#{key}"))), ("sk".to_owned(), text("IDEMPOTENCY"))])
}

fn claimed_item(key: &IdempotencyKey, fingerprint: &Fingerprint, claim: &Claim) -> Item {
    let mut item = idempotency_key(key);
    item.insert(FINGERPRINT.to_owned(), bytes(fingerprint.as_bytes().to_vec()));
    item.insert(TOKEN.to_owned(), text(&claim.token));
    item.extend(ends(claim.until));
    item
}

/// The attributes that say when an item runs out.
fn ends(until: OffsetDateTime) -> [(String, AttributeValue); 2] {
    let until = milliseconds(until);
    [(UNTIL.to_owned(), number(until)), (EXPIRES_AT.to_owned(), number(until / 1_000 + 1))]
}

/// The attributes that keep an answer, or what can be kept of it.
fn kept(answer: &KeptAnswer) -> Result<Item, StoreFault> {
    let compress = |body: &[u8]| gzip(body).map_err(store_fault("could not compress an answer"));
    // A body that would be refused when it is read is not worth the work.
    let whole = if answer.body.len() > MAX_ANSWER_BYTES { None } else { Some(compress(&answer.body)?) };
    let (content_type, body) = match whole {
        Some(body) if body.len() <= MAX_KEPT_BODY_BYTES => (answer.content_type.as_str(), body),
        _ => ("application/json", compress(TOO_LARGE.as_bytes())?),
    };
    let mut item = Item::from([
        (STATUS.to_owned(), number(answer.status.into())),
        (CONTENT_TYPE.to_owned(), text(content_type)),
        (BODY.to_owned(), bytes(body)),
    ]);
    if let Some(retry_after) = answer.retry_after {
        item.insert(RETRY_AFTER.to_owned(), number(retry_after));
    }
    Ok(item)
}

/// What an item says of its key.
fn kept_key(item: &Item) -> Result<KeptKey, StoreFault> {
    let fingerprint: [u8; 32] = read(item, FINGERPRINT, |value| read_bytes(value)?.try_into().ok())?;
    let answer = if item.contains_key(STATUS) { Some(kept_answer(item)?) } else { None };
    Ok(KeptKey {
        fingerprint: Fingerprint::from_bytes(fingerprint),
        token: read(item, TOKEN, read_text)?,
        until: read(item, UNTIL, read_milliseconds)?,
        answer,
    })
}

fn kept_answer(item: &Item) -> Result<KeptAnswer, StoreFault> {
    let body = gunzip(read(item, BODY, read_bytes)?);
    let retry_after = if item.contains_key(RETRY_AFTER) { Some(read(item, RETRY_AFTER, read_number)?) } else { None };
    Ok(KeptAnswer {
        status: read(item, STATUS, read_number)?,
        content_type: read(item, CONTENT_TYPE, read_text)?,
        retry_after,
        body: body.map_err(|error| StoreFault { source: Some(error.into()), ..unreadable(BODY) })?,
    })
}

/// Reads an attribute that must be there.
fn read<'i, T>(item: &'i Item, attribute: &str, parse: impl FnOnce(&'i AttributeValue) -> Option<T>) -> Result<T, StoreFault> {
    item.get(attribute).and_then(parse).ok_or_else(|| unreadable(attribute))
}

fn read_text(value: &AttributeValue) -> Option<String> {
    value.as_s().ok().cloned()
}

fn read_bytes(value: &AttributeValue) -> Option<&[u8]> {
    value.as_b().ok().map(AsRef::as_ref)
}

fn read_number<T: std::str::FromStr>(value: &AttributeValue) -> Option<T> {
    value.as_n().ok()?.parse().ok()
}

fn read_milliseconds(value: &AttributeValue) -> Option<OffsetDateTime> {
    let milliseconds: i128 = read_number(value)?;
    OffsetDateTime::from_unix_timestamp_nanos(milliseconds.checked_mul(1_000_000)?).ok()
}

fn bytes(value: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

fn milliseconds(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

fn unreadable(attribute: &str) -> StoreFault {
    StoreFault::new(format!("unreadable attribute {attribute}"))
}

/// Fast, since a client waits for it.
fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn gunzip(compressed: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let most = MAX_ANSWER_BYTES as u64 + 1;
    GzDecoder::new(compressed).take(most).read_to_end(&mut body)?;
    if body.len() > MAX_ANSWER_BYTES {
        return Err(io::Error::other(format!("expected at most {MAX_ANSWER_BYTES} bytes")));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::StreamKey;
    use time::macros::datetime;

    fn key() -> IdempotencyKey {
        let stream = StreamKey { id: "refuse-trucks".parse().unwrap(), version: "1".parse().unwrap() };
        IdempotencyKey::new(&"city".parse().unwrap(), &stream, &"is-00000000".parse().unwrap(), "a-key")
    }

    fn fingerprint() -> Fingerprint {
        Fingerprint::of(&[b"body"])
    }

    fn own_claim() -> Claim {
        Claim { token: "one".to_owned(), until: datetime!(2026-01-01 00:00:30.250 UTC) }
    }

    fn answer(body: impl Into<Vec<u8>>) -> KeptAnswer {
        KeptAnswer { status: 207, content_type: "application/problem+json".to_owned(), retry_after: Some(5), body: body.into() }
    }

    /// Bytes that cannot be compressed.
    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        fastrand::Rng::with_seed(1).fill(&mut bytes);
        bytes
    }

    fn answered_item(answer: &KeptAnswer) -> Item {
        let mut item = claimed_item(&key(), &fingerprint(), &own_claim());
        item.extend(kept(answer).unwrap());
        item.extend(ends(datetime!(2026-01-02 00:00 UTC)));
        item
    }

    fn stored_body(item: &Item) -> &[u8] {
        read_bytes(&item[BODY]).unwrap()
    }

    #[test]
    fn a_claim_is_an_item_of_its_own_and_back() {
        let item = claimed_item(&key(), &fingerprint(), &own_claim());
        let pk = format!("IDEMPOTENCY#{}", key());
        let expected = Item::from([
            ("pk".to_owned(), text(pk)),
            ("sk".to_owned(), text("IDEMPOTENCY")),
            ("fingerprint".to_owned(), bytes(fingerprint().as_bytes().to_vec())),
            ("token".to_owned(), text("one")),
            ("until".to_owned(), number(1_767_225_630_250)),
            ("expires_at".to_owned(), number(1_767_225_631)),
        ]);
        assert_eq!(item, expected);
        let Claim { token, until } = own_claim();
        assert_eq!(kept_key(&item).unwrap(), KeptKey { fingerprint: fingerprint(), token, until, answer: None });
    }

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let empty = KeptAnswer { retry_after: None, ..answer("") };
        for first in [answer("{\"accepted\":1}"), empty] {
            let item = answered_item(&first);
            assert_eq!(item.contains_key(RETRY_AFTER), first.retry_after.is_some());
            let expected = KeptKey {
                fingerprint: fingerprint(),
                token: "one".to_owned(),
                until: datetime!(2026-01-02 00:00 UTC),
                answer: Some(first),
            };
            assert_eq!(kept_key(&item).unwrap(), expected);
        }
    }

    #[test]
    fn a_large_answer_is_kept_compressed() {
        let large = answer("{\"outcome\":\"accepted\"}".repeat(100_000));
        let item = answered_item(&large);
        assert!(stored_body(&item).len() < MAX_KEPT_BODY_BYTES);
        assert_eq!(kept_answer(&item).unwrap(), large);
    }

    #[test]
    fn of_an_answer_that_is_too_large_the_status_is_kept() {
        let expected = KeptAnswer { content_type: "application/json".to_owned(), ..answer(TOO_LARGE) };
        for body in [noise(MAX_KEPT_BODY_BYTES), vec![b' '; MAX_ANSWER_BYTES + 1]] {
            assert_eq!(kept_answer(&answered_item(&answer(body))).unwrap(), expected);
        }
        let fits = answer(noise(MAX_KEPT_BODY_BYTES * 9 / 10));
        assert_eq!(kept_answer(&answered_item(&fits)).unwrap(), fits);
        let detail: serde_json::Value = serde_json::from_str(TOO_LARGE).unwrap();
        assert_eq!(detail["detail"], "the first answer is too large to be repeated; its status is all that is kept");
    }

    #[test]
    fn an_update_names_and_sets_every_attribute() {
        let update = Update::setting(Item::from([(UNTIL.to_owned(), number(1)), (STATUS.to_owned(), number(200))]));
        assert_eq!(update.expression, "SET #status = :status, #until = :until");
        let names = [("#status", STATUS), ("#until", UNTIL)].map(|(placeholder, name)| (placeholder.to_owned(), name.to_owned()));
        assert_eq!(update.names, HashMap::from(names));
        assert_eq!(update.values, Item::from([(":status".to_owned(), number(200)), (":until".to_owned(), number(1))]));
    }

    #[test]
    fn what_is_damaged_or_missing_is_a_fault() {
        let too_long = gzip(&vec![b' '; MAX_ANSWER_BYTES + 1]).unwrap();
        let whole = gzip(b"body").unwrap();
        let cut = whole[..whole.len() - 1].to_vec();
        for (attribute, value) in [
            (FINGERPRINT, Some(bytes(vec![0; 31]))),
            (FINGERPRINT, Some(text("x"))),
            (FINGERPRINT, None),
            (TOKEN, None),
            (UNTIL, Some(text("1"))),
            (UNTIL, Some(AttributeValue::N(i128::MAX.to_string()))),
            (UNTIL, None),
            (STATUS, Some(number(65_536))),
            (CONTENT_TYPE, None),
            (RETRY_AFTER, Some(text("soon"))),
            (BODY, Some(bytes(cut))),
            (BODY, Some(bytes(b"body".to_vec()))),
            (BODY, Some(bytes(Vec::new()))),
            (BODY, Some(bytes(too_long))),
            (BODY, None),
        ] {
            let mut item = answered_item(&answer("body"));
            item.remove(attribute);
            item.extend(value.map(|value| (attribute.to_owned(), value)));
            assert_eq!(kept_key(&item).unwrap_err().to_string(), format!("unreadable attribute {attribute}"));
        }
    }
}
