//! The marks of dead letters that were put back: one item a letter, and one for each event that it became on the raw stream.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::dead_letter::LetterId;
use domain::ids::IngestId;
use domain::letters::{Claim, MarkReader, Marks, PutBack, RedriveMarks, TriedBefore};
use domain::record::rfc3339_text;
use domain::store::StoreFault;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Table;
use super::items::{Item, letter_key, number, sequence_key, text};
use crate::fault::store_fault;

const REDRIVEN_AT: &str = "redriven_at";
const CLAIMED_UNTIL: &str = "claimed_until";
const CLAIMED_BY: &str = "claimed_by";
const FIRST_TIME: &str = "first_time";
const ATTEMPTS: &str = "attempts";

#[async_trait::async_trait]
impl MarkReader for Table {
    async fn load(&self, stream: &IngestId, letters: &[&LetterId]) -> Result<Vec<Marks>, StoreFault> {
        let keys = letters.iter().flat_map(|letter| [letter_key(stream, letter), sequence_key(stream, letter.event())]);
        // A key may stand in a call once.
        let keys: HashMap<String, Item> = keys.map(|key| (partition(&key).to_owned(), key)).collect();
        let keys: Vec<Item> = keys.into_values().collect();
        let items = self.get_many(&keys, "could not read the marks of dead letters").await?;
        let found = items.into_iter().map(|item| (partition(&item).to_owned(), item)).collect();
        letters.iter().map(|letter| marks(stream, letter, &found)).collect()
    }
}

#[async_trait::async_trait]
impl RedriveMarks for Table {
    async fn claim(&self, stream: &IngestId, letter: &LetterId, claim: Claim) -> Result<bool, StoreFault> {
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(letter_key(stream, letter)))
            .condition_expression(claim_condition(claim.again))
            .update_expression(format!("SET {CLAIMED_UNTIL} = :until, {CLAIMED_BY} = :token"))
            .expression_attribute_values(":now", milliseconds(claim.now))
            .expression_attribute_values(":until", milliseconds(claim.until))
            .expression_attribute_values(":token", number(claim.token));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(store_fault("could not claim a dead letter")(error)),
        }
    }

    async fn release(&self, stream: &IngestId, letter: &LetterId, claim: Claim) -> Result<(), StoreFault> {
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(letter_key(stream, letter)))
            .condition_expression(format!("{CLAIMED_BY} = :token"))
            .update_expression(format!("REMOVE {CLAIMED_UNTIL}, {CLAIMED_BY}"))
            .expression_attribute_values(":token", number(claim.token));
        match request.send().await {
            Ok(_) => Ok(()),
            // It ran out, and is somebody else's; or a first try was written, and its answer was lost.
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(store_fault("could not release a dead letter")(error)),
        }
    }

    async fn mark(&self, stream: &IngestId, letter: &LetterId, put_back: &PutBack) -> Result<(), StoreFault> {
        let PutBack { at, sequence_number, before } = put_back;
        let mark = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(letter_key(stream, letter)))
            .update_expression(format!("SET {REDRIVEN_AT} = :at REMOVE {CLAIMED_UNTIL}, {CLAIMED_BY}"))
            .expression_attribute_values(":at", text(rfc3339_text(*at)));
        let note = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(sequence_key(stream, sequence_number)))
            .update_expression(format!("SET {FIRST_TIME} = :first_time, {ATTEMPTS} = :attempts"))
            .expression_attribute_values(":first_time", text(rfc3339_text(before.first_time)))
            .expression_attribute_values(":attempts", number(before.attempts.into()));
        // Neither waits for the other: the letter may be put back once more until it is marked.
        let (marked, noted) = tokio::join!(mark.send(), note.send());
        marked.map_err(store_fault("could not mark a dead letter"))?;
        noted.map_err(store_fault("could not note the attempts of a dead letter"))?;
        Ok(())
    }
}

/// When a letter may be claimed. The SDK sends a request again whose answer was lost, and finds its own claim.
fn claim_condition(again: bool) -> String {
    let is_free = format!("(attribute_not_exists({CLAIMED_UNTIL}) OR {CLAIMED_UNTIL} < :now OR {CLAIMED_BY} = :token)");
    if again { is_free } else { format!("{is_free} AND attribute_not_exists({REDRIVEN_AT})") }
}

/// An item's partition, in which it is alone.
fn partition(item: &Item) -> &str {
    item.get("pk").and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// The marks of a letter among items, by their partition keys.
fn marks(stream: &IngestId, letter: &LetterId, items: &HashMap<String, Item>) -> Result<Marks, StoreFault> {
    let mut marks = Marks::default();
    if let Some(item) = items.get(partition(&letter_key(stream, letter))) {
        marks.redriven_at = item.get(REDRIVEN_AT).map(|value| read_text(value, REDRIVEN_AT)).transpose()?;
        marks.claimed_until = item.get(CLAIMED_UNTIL).map(read_milliseconds).transpose()?;
    }
    if let Some(item) = items.get(partition(&sequence_key(stream, letter.event()))) {
        let first_time = item.get(FIRST_TIME).map(|value| read_text(value, FIRST_TIME)).transpose()?;
        let attempts = item.get(ATTEMPTS).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok());
        marks.before = first_time.zip(attempts).map(|(first_time, attempts)| TriedBefore { first_time, attempts });
    }
    Ok(marks)
}

fn milliseconds(at: OffsetDateTime) -> AttributeValue {
    number(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

fn read_milliseconds(value: &AttributeValue) -> Result<OffsetDateTime, StoreFault> {
    let milliseconds = value.as_n().ok().and_then(|digits| digits.parse::<i128>().ok());
    let at = milliseconds.and_then(|milliseconds| OffsetDateTime::from_unix_timestamp_nanos(milliseconds.checked_mul(1_000_000)?).ok());
    at.ok_or_else(|| unreadable(CLAIMED_UNTIL))
}

fn read_text(value: &AttributeValue, attribute: &str) -> Result<OffsetDateTime, StoreFault> {
    let at = value.as_s().ok().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    at.ok_or_else(|| unreadable(attribute))
}

fn unreadable(attribute: &str) -> StoreFault {
    StoreFault::new(format!("unreadable attribute {attribute}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn stream() -> IngestId {
        "is-00000000".parse().unwrap()
    }

    fn stored(items: impl IntoIterator<Item = Item>) -> HashMap<String, Item> {
        items.into_iter().map(|item| (partition(&item).to_owned(), item)).collect()
    }

    #[test]
    fn a_letter_has_its_own_marks_and_those_of_its_event() {
        let letter: LetterId = "dl-1767225597000-4959".parse().unwrap();
        assert_eq!(marks(&stream(), &letter, &HashMap::new()).unwrap(), Marks::default());
        let (at, until) = (datetime!(2026-01-01 00:00:00.5 UTC), datetime!(2026-01-01 00:01 UTC));
        let mut own = letter_key(&stream(), &letter);
        own.insert(REDRIVEN_AT.to_owned(), text(rfc3339_text(at)));
        own.insert(CLAIMED_UNTIL.to_owned(), milliseconds(until));
        let mut of_event = sequence_key(&stream(), "4959");
        of_event.insert(FIRST_TIME.to_owned(), text("2025-12-31T23:00:00Z"));
        of_event.insert(ATTEMPTS.to_owned(), number(3));
        let before = TriedBefore { first_time: datetime!(2025-12-31 23:00 UTC), attempts: 3 };
        let expected = Marks { redriven_at: Some(at), claimed_until: Some(until), before: Some(before) };
        assert_eq!(marks(&stream(), &letter, &stored([own, of_event])).unwrap(), expected);
    }

    #[test]
    fn the_marks_of_letters_lie_in_partitions_of_their_own() {
        let letter: LetterId = "dl-1767225597000-4959".parse().unwrap();
        let key = |pk: &str, sk: &str| Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))]);
        assert_eq!(letter_key(&stream(), &letter), key("LETTERS#is-00000000#dl-1767225597000-4959", "LETTER"));
        assert_eq!(sequence_key(&stream(), letter.event()), key("LETTERS#is-00000000#4959", "SEQUENCE"));
    }

    #[test]
    fn a_claim_may_find_itself_and_only_force_passes_over_a_mark() {
        let is_free = "(attribute_not_exists(claimed_until) OR claimed_until < :now OR claimed_by = :token)";
        assert_eq!(claim_condition(true), is_free);
        assert_eq!(claim_condition(false), format!("{is_free} AND attribute_not_exists(redriven_at)"));
    }

    #[test]
    fn marks_that_cannot_be_read_are_a_fault() {
        let letter: LetterId = "dl-1-1".parse().unwrap();
        for (attribute, value) in
            [(REDRIVEN_AT, text("yesterday")), (CLAIMED_UNTIL, text("1")), (CLAIMED_UNTIL, AttributeValue::N("x".into()))]
        {
            let mut item = letter_key(&stream(), &letter);
            item.insert(attribute.to_owned(), value);
            let fault = marks(&stream(), &letter, &stored([item])).unwrap_err();
            assert_eq!(fault.to_string(), format!("unreadable attribute {attribute}"));
        }
    }
}
