//! The door of a stream: every event of a request meets one outcome there.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::join;

use super::body::{Batch, Event};
use super::check_event;
use crate::dead_letter::{DeadLetter, DeadLetters, LetterId, Reason};
use crate::input::OnInvalid;
use crate::limits::MAX_EVENT_BYTES;
use crate::outcome::{EventFault, Outcome, RetryReason, Tally};
use crate::publish::{Deadline, EventPublisher, PutResult, Record, put_all};
use crate::record::StreamRecord;
use crate::system::System;

/// What stands at the door.
pub struct Door<'d> {
    /// The stream.
    pub record: &'d StreamRecord,
    /// Takes the events that are good.
    pub publisher: &'d dyn EventPublisher,
    /// Takes those that are not.
    pub dead_letters: &'d dyn DeadLetters,
    /// Clock, sleep, chance.
    pub system: &'d dyn System,
    /// Until when it may be tried.
    pub deadline: Deadline,
    /// Names the request in dead letters.
    pub request_id: &'d str,
}

impl Door<'_> {
    /// Checks every event, puts the good ones on their stream, and keeps the others if the document says so; a bad one harms no other.
    ///
    /// Returns one outcome an event, in order.
    pub async fn accept(&self, batch: &Batch<'_>) -> Vec<Outcome> {
        let input = &self.record.document.input;
        let checks: Vec<Result<(), EventFault>> = batch.events.iter().map(|event| check_event(*event, input)).collect();
        let letters: Vec<DeadLetter> = batch
            .events
            .iter()
            .zip(&checks)
            .filter_map(|(event, check)| {
                let fault = check.as_ref().err()?;
                self.keeps(*event, fault).then(|| self.letter(*event, fault))
            })
            .collect();
        // Side by side: a place for letters that does not answer takes no time from the good ones.
        let (results, kept) = join(self.put(batch, &checks), self.keep(&letters)).await;
        let mut results = results.into_iter();
        let outcomes: Vec<Outcome> = batch
            .events
            .iter()
            .zip(checks)
            .map(|(event, check)| match check {
                Err(fault) if !self.keeps(*event, &fault) => Outcome::Rejected(fault),
                Err(fault) => kept.map_or_else(Outcome::Retry, |()| Outcome::DeadLetter(fault)),
                Ok(()) => match results.next() {
                    Some(Ok(())) => Outcome::Accepted,
                    Some(Err(reason)) => Outcome::Retry(reason),
                    // One result a record is the publisher's contract; without one the event cannot be called accepted.
                    None => Outcome::Retry(RetryReason::Unavailable),
                },
            })
            .collect();
        assert_eq!(Tally::of(&outcomes).received(), batch.events.len(), "every event has one outcome");
        outcomes
    }

    async fn put(&self, batch: &Batch<'_>, checks: &[Result<(), EventFault>]) -> Vec<PutResult> {
        let entrance = self.record.entrance();
        let good = batch.events.iter().zip(checks).filter(|(_, check)| check.is_ok());
        let data: Vec<Cow<'_, [u8]>> = good.map(|(event, _)| entrance.data(*event)).collect();
        let keys: Vec<String> = data.iter().map(|_| self.random_key()).collect();
        let records: Vec<Record<'_>> = data.iter().zip(&keys).map(|(data, key)| Record { data, partition_key: key }).collect();
        put_all(self.publisher, self.system, self.deadline, entrance.stream(), &records).await
    }

    /// Whether an event with this fault becomes a dead letter. One that is too large for the stream, or for a letter, does not.
    fn keeps(&self, event: Event<'_>, fault: &EventFault) -> bool {
        let fits = !matches!(fault, EventFault::TooLarge { .. }) && event.bytes().len() <= MAX_EVENT_BYTES as usize;
        self.record.document.input.on_invalid == OnInvalid::DeadLetter && fits
    }

    async fn keep(&self, letters: &[DeadLetter]) -> Result<(), RetryReason> {
        if letters.is_empty() {
            return Ok(());
        }
        self.dead_letters.put(&self.record.resources.dead_letter_stream, letters, self.deadline).await
    }

    fn letter(&self, event: Event<'_>, fault: &EventFault) -> DeadLetter {
        let now = self.system.now();
        DeadLetter {
            id: LetterId::new(now, &self.random_key()),
            stream: self.record.key.to_string(),
            source: "ingest".to_owned(),
            reason: Reason { code: fault.code().to_owned(), detail: fault.to_string() },
            path: None,
            first_time: now,
            time: now,
            attempts: 1,
            request_id: self.request_id.to_owned(),
            content_type: self.record.document.input.format.content_type().to_owned(),
            partition_key: self.random_key(),
            original_base64: BASE64_STANDARD.encode(event.bytes()),
        }
    }

    fn random_key(&self) -> String {
        format!("{:016x}", self.system.random())
    }
}
