//! The door of a stream: every event of a request meets one outcome there.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::join;

use super::body::{Batch, Event};
use super::check;
use super::intake::Intake;
use super::rules::{event_id, partition_key};
use crate::dead_letter::{DeadLetter, DeadLetters, LetterId, Reason};
use crate::input::OnInvalid;
use crate::limits::{MAX_EVENT_BYTES, PUTS_AT_ONCE};
use crate::outcome::{EventFault, Outcome, RetryReason, Tally};
use crate::publish::{Deadline, EventPublisher, PutResult, Record, put_all};
use crate::rate_lease::{Quota, SharedRateLimiter};
use crate::system::System;

/// Characters of a fault's words in a dead letter. Ours.
const MAX_REASON_CHARS: usize = 1_000;

/// What stands at the door.
pub struct Door<'d> {
    /// The stream.
    pub intake: &'d Intake,
    /// Takes the events that are good.
    pub publisher: &'d dyn EventPublisher,
    /// Takes those that are not.
    pub dead_letters: &'d dyn DeadLetters,
    /// Counts for the stream's rate limit.
    pub limiter: &'d SharedRateLimiter,
    /// Clock, sleep, chance.
    pub system: &'d dyn System,
    /// Until when it may be tried.
    pub deadline: Deadline,
    /// Names the request in dead letters.
    pub request_id: &'d str,
    /// Whether to say only what would become of the events.
    pub is_dry_run: bool,
}

/// What became of a request's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// One result an event, in order.
    pub results: Vec<EventResult>,
    /// What the stream's rate limit has left, where it has one.
    pub quota: Option<Quota>,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventResult {
    /// What names it, where the document says.
    pub id: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What is known of an event before anything is written.
struct Look {
    id: Option<String>,
    key: Option<String>,
    verdict: Verdict,
}

enum Verdict {
    Good,
    /// Another event of the request has its id: the one at this place.
    SameAs(usize),
    /// It becomes a dead letter.
    Kept(EventFault),
    /// It is refused, and nothing keeps it.
    Refused(EventFault),
}

impl Door<'_> {
    /// Checks every event, puts the good ones on their stream, and keeps the others if the document says so; a bad one harms no other.
    pub async fn accept(&self, batch: &Batch<'_>) -> Receipt {
        let looks = self.look(batch);
        let (admitted, quota) = self.admit(&looks).await;
        // Side by side: a place for letters that does not answer takes no time from the good ones.
        let (put, kept) = join(self.put(batch, &looks, admitted), self.keep(batch, &looks)).await;
        let outcome = |look: &Look, place: usize| match &look.verdict {
            Verdict::Good => written(put[place], Outcome::Accepted),
            Verdict::SameAs(first) => written(put[*first], Outcome::Duplicate),
            Verdict::Kept(fault) => kept.map_or_else(Outcome::Retry, |()| Outcome::DeadLetter(fault.clone())),
            Verdict::Refused(fault) => Outcome::Rejected(fault.clone()),
        };
        let outcomes: Vec<Outcome> = looks.iter().enumerate().map(|(place, look)| outcome(look, place)).collect();
        assert_eq!(Tally::of(&outcomes).received(), batch.events.len(), "every event has one outcome");
        let results = looks.into_iter().zip(outcomes).map(|(look, outcome)| EventResult { id: look.id, outcome });
        Receipt { results: results.collect(), quota }
    }

    fn look(&self, batch: &Batch<'_>) -> Vec<Look> {
        let input = &self.intake.record.document.input;
        let mut firsts: HashMap<String, usize> = HashMap::new();
        let look = |(place, event): (usize, &Event<'_>)| {
            let (checked, reading) = check(*event, input, self.intake.rules.as_deref());
            let id = reading.id.and_then(event_id);
            let verdict = match (checked, &id) {
                (Err(fault), _) if self.keeps(*event, &fault) => Verdict::Kept(fault),
                (Err(fault), _) => Verdict::Refused(fault),
                (Ok(()), None) => Verdict::Good,
                (Ok(()), Some(id)) => match firsts.get(id) {
                    Some(first) => Verdict::SameAs(*first),
                    None => {
                        firsts.insert(id.clone(), place);
                        Verdict::Good
                    }
                },
            };
            Look { id, key: reading.partition_key.and_then(partition_key), verdict }
        };
        batch.events.iter().enumerate().map(look).collect()
    }

    /// How many of the good events the stream's rate limit lets in: the first ones.
    async fn admit(&self, looks: &[Look]) -> (usize, Option<Quota>) {
        let good = looks.iter().filter(|look| matches!(look.verdict, Verdict::Good)).count();
        let Some(limit) = &self.intake.limit else { return (good, None) };
        let now = self.system.now();
        if self.is_dry_run {
            let quota = self.limiter.look(&limit.name, &limit.limit, now);
            return (good, Some(quota));
        }
        let grant = self.limiter.take(&limit.name, &limit.limit, good, now).await;
        (grant.granted, Some(grant.quota))
    }

    /// Puts the first good events, as many as are admitted. Returns what became of each, at its place; `None` where nothing was put.
    async fn put(&self, batch: &Batch<'_>, looks: &[Look], admitted: usize) -> Vec<Option<PutResult>> {
        let mut results = vec![None; looks.len()];
        let good = (0..looks.len()).filter(|place| matches!(looks[*place].verdict, Verdict::Good));
        let places: Vec<usize> = good.take(admitted).collect();
        if self.is_dry_run {
            places.iter().for_each(|place| results[*place] = Some(Ok(())));
            return results;
        }
        let record = &self.intake.record;
        let entrance = record.entrance();
        let data: Vec<Cow<'_, [u8]>> = places.iter().map(|place| entrance.data(batch.events[*place])).collect();
        let keys: Vec<Cow<'_, str>> = places.iter().map(|place| self.key(&looks[*place])).collect();
        let records: Vec<Record<'_>> = data.iter().zip(&keys).map(|(data, key)| Record { data, partition_key: key }).collect();
        // Calls at once would mix up the events of one key.
        let at_once = if record.document.input.partition_key.is_some() { 1 } else { PUTS_AT_ONCE };
        let answers = put_all(self.publisher, self.system, self.deadline, entrance.stream(), &records, at_once).await;
        // One result a record is the publisher's contract; without one the event cannot be called accepted.
        let answers = answers.into_iter().chain(std::iter::repeat(Err(RetryReason::Unavailable)));
        places.iter().zip(answers).for_each(|(place, answer)| results[*place] = Some(answer));
        results
    }

    fn key<'l>(&self, look: &'l Look) -> Cow<'l, str> {
        look.key.as_deref().map_or_else(|| self.random_key().into(), Cow::Borrowed)
    }

    /// Whether an event with this fault becomes a dead letter. One that is too large for the stream, or for a letter, does not.
    fn keeps(&self, event: Event<'_>, fault: &EventFault) -> bool {
        let fits = !matches!(fault, EventFault::TooLarge { .. }) && event.bytes().len() <= MAX_EVENT_BYTES as usize;
        self.intake.record.document.input.on_invalid == OnInvalid::DeadLetter && fits
    }

    async fn keep(&self, batch: &Batch<'_>, looks: &[Look]) -> Result<(), RetryReason> {
        let letter = |(event, look): (&Event<'_>, &Look)| match &look.verdict {
            Verdict::Kept(fault) => Some(self.letter(*event, look, fault)),
            Verdict::Good | Verdict::SameAs(_) | Verdict::Refused(_) => None,
        };
        let letters: Vec<DeadLetter> = batch.events.iter().zip(looks).filter_map(letter).collect();
        if letters.is_empty() || self.is_dry_run {
            return Ok(());
        }
        self.dead_letters.put(&self.intake.record.resources.dead_letter_stream, &letters, self.deadline).await
    }

    fn letter(&self, event: Event<'_>, look: &Look, fault: &EventFault) -> DeadLetter {
        let now = self.system.now();
        DeadLetter {
            id: LetterId::new(now, &self.random_key()),
            stream: self.intake.record.key.to_string(),
            source: "ingest".to_owned(),
            reason: Reason { code: fault.code().to_owned(), detail: fault.to_string().chars().take(MAX_REASON_CHARS).collect() },
            path: None,
            first_time: now,
            time: now,
            attempts: 1,
            request_id: self.request_id.to_owned(),
            content_type: event.content_type().to_owned(),
            partition_key: self.key(look).into_owned(),
            original_base64: BASE64_STANDARD.encode(event.bytes()),
        }
    }

    fn random_key(&self) -> String {
        format!("{:016x}", self.system.random())
    }
}

/// What became of a good event: without a result it was not let in.
fn written(result: Option<PutResult>, good: Outcome) -> Outcome {
    match result {
        Some(Ok(())) => good,
        Some(Err(reason)) => Outcome::Retry(reason),
        None => Outcome::RateLimited,
    }
}
