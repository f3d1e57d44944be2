//! What only the world outside can answer about an event: whether it is a duplicate, and whether it may go on now.

use std::collections::{HashMap, HashSet};

use super::passage::{Branch, Failure, Passage};
use crate::dead_letter::Reason;
use crate::dedupe::{KeysInMemory, Mark, SeenKey, SeenKeys};
use crate::limits::KEYS_TIME;
use crate::publish::Deadline;
use crate::rate_limiter::RateLimiter;
use crate::resource_config::LocalRateLimit;
use crate::stats::ProcessorCounters;
use crate::store::StoreFault;
use crate::system::{System, within};

/// A question on the way of an event through the processors.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// The gate before it on the same way, if there was one.
    pub before: Option<usize>,
    /// The place of the processor that asks.
    pub processor: usize,
    /// What it asks.
    pub question: Question,
}

/// What a processor asks about an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Was the key seen before?
    Dedupe(Mark, KeyStore),
    /// Is there room in the rate limit of this name?
    RateLimit(String, LocalRateLimit),
}

/// Where keys are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStore {
    /// In the table.
    Table,
    /// In the instance's memory.
    Memory,
}

/// Answers what processors ask.
pub struct Gatekeeper<'g> {
    /// The keys in the table.
    pub table: &'g dyn SeenKeys,
    /// The keys in memory.
    pub memory: &'g KeysInMemory,
    /// The rate limits.
    pub limits: &'g RateLimiter,
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// Records for the processed stream, and what is remembered of the event once they are there.
    Forwarded(Vec<Vec<u8>>, Vec<(Mark, KeyStore)>),
    /// Nothing is left of it.
    Filtered,
    /// It is a duplicate.
    Deduplicated,
    /// It could not go on.
    Dead(Failure),
}

/// The fates of a chunk's events, from the first one on.
pub(super) struct Settled {
    /// The fates. Events without one come again.
    pub(super) fates: Vec<Fate>,
    /// Why some have none.
    pub(super) stopped: Option<Reason>,
}

/// The keys of a batch's events that are forwarded, whether or not they are remembered yet.
pub(super) type SeenInBatch = HashSet<SeenKey>;

impl Gatekeeper<'_> {
    /// Decides what becomes of events, in their order.
    pub(super) async fn settle(
        &self,
        passages: Vec<Passage<Vec<u8>>>,
        batch: &mut SeenInBatch,
        counts: &mut [ProcessorCounters],
        (system, deadline): (&dyn System, Deadline),
    ) -> Settled {
        let mut fates = Vec::with_capacity(passages.len());
        let seen = self.seen(&passages, (system, deadline)).await;
        for passage in passages {
            if let Err(stopped) = &seen
                && passage.asks_the_table()
            {
                return Settled { fates, stopped: Some(stopped.clone()) };
            }
            let empty = HashMap::new();
            let known = Known { seen: seen.as_ref().unwrap_or(&empty), batch };
            match self.answers(&passage.gates, &known, (system, deadline)).await {
                Ok(answers) => fates.push(fate(passage, &answers, batch, counts)),
                Err(stopped) => return Settled { fates, stopped: Some(stopped) },
            }
        }
        Settled { fates, stopped: None }
    }

    /// Looks up all keys of a chunk at once.
    async fn seen(
        &self,
        passages: &[Passage<Vec<u8>>],
        (system, deadline): (&dyn System, Deadline),
    ) -> Result<HashMap<SeenKey, bool>, Reason> {
        let keys = |wanted: KeyStore| -> Vec<SeenKey> {
            let gates = passages.iter().flat_map(|passage| &passage.gates);
            let keys = gates.filter_map(|gate| match &gate.question {
                Question::Dedupe(mark, store) if *store == wanted => Some(mark.key),
                _ => None,
            });
            keys.collect::<HashSet<_>>().into_iter().collect()
        };
        let (in_table, in_memory) = (keys(KeyStore::Table), keys(KeyStore::Memory));
        let mut seen: HashMap<SeenKey, bool> = HashMap::new();
        seen.extend(in_memory.iter().copied().zip(self.memory.seen(&in_memory, system.now())));
        if !in_table.is_empty() {
            let answers = within(system, deadline.left(system.now()), self.table.seen(&in_table, system.now())).await;
            let answers = answers.and_then(Result::ok).ok_or_else(unanswered)?;
            seen.extend(in_table.into_iter().zip(answers));
        }
        Ok(seen)
    }

    /// Says of every gate of an event whether it is open. What is behind a closed one is not asked.
    async fn answers(&self, gates: &[Gate], known: &Known<'_>, time: (&dyn System, Deadline)) -> Result<Vec<bool>, Reason> {
        let mut answers: Vec<bool> = Vec::with_capacity(gates.len());
        let mut own = HashSet::new();
        for gate in gates {
            let is_reached = gate.before.is_none_or(|before| answers[before]);
            let is_open = is_reached
                && match &gate.question {
                    Question::Dedupe(mark, _) => known.is_new(&mark.key) && own.insert(mark.key),
                    Question::RateLimit(name, limit) => {
                        self.wait(name, limit, time).await?;
                        true
                    }
                };
            answers.push(is_open);
        }
        Ok(answers)
    }

    /// Waits until a rate limit has room.
    async fn wait(&self, name: &str, limit: &LocalRateLimit, (system, deadline): (&dyn System, Deadline)) -> Result<(), Reason> {
        while let Err(pause) = self.limits.take(name, limit, system.now()) {
            if deadline.is_past(system.now() + pause) {
                let detail = "a rate limit has no room in the time of one invocation; the rest of the batch comes again".to_owned();
                return Err(Reason { code: "rate_limited".to_owned(), detail });
            }
            system.sleep(pause).await;
        }
        Ok(())
    }

    /// Remembers what was forwarded.
    ///
    /// # Errors
    /// What the table should remember is not known to be.
    pub(super) async fn remember(&self, marks: &[(Mark, KeyStore)], (system, deadline): (&dyn System, Deadline)) -> Result<(), StoreFault> {
        let of = |wanted: KeyStore| -> Vec<Mark> { marks.iter().filter(|(_, store)| *store == wanted).map(|(mark, _)| *mark).collect() };
        self.memory.remember(&of(KeyStore::Memory), system.now());
        let in_table = of(KeyStore::Table);
        if in_table.is_empty() {
            return Ok(());
        }
        let told = within(system, deadline.left(system.now()) + KEYS_TIME, self.table.remember(&in_table, system.now())).await;
        told.unwrap_or_else(|| Err(StoreFault::new("the table did not answer in time")))
    }
}

/// What is known of a chunk's keys.
struct Known<'k> {
    seen: &'k HashMap<SeenKey, bool>,
    batch: &'k SeenInBatch,
}

impl Known<'_> {
    fn is_new(&self, key: &SeenKey) -> bool {
        !self.seen.get(key).copied().unwrap_or(false) && !self.batch.contains(key)
    }
}

/// Decides what would become of events that are alone in the world: what came before them is not known, and rate limits have room.
pub fn fates_alone(passages: Vec<Passage<Vec<u8>>>) -> Vec<Fate> {
    let mut batch = SeenInBatch::new();
    let nothing = HashMap::new();
    let mut decide = |passage: Passage<Vec<u8>>| {
        let known = Known { seen: &nothing, batch: &batch };
        let (mut answers, mut own) = (Vec::with_capacity(passage.gates.len()), HashSet::new());
        for gate in &passage.gates {
            let is_open = match &gate.question {
                Question::Dedupe(mark, _) => known.is_new(&mark.key) && own.insert(mark.key),
                Question::RateLimit(..) => true,
            };
            answers.push(is_open && gate.before.is_none_or(|before| answers[before]));
        }
        fate(passage, &answers, &mut batch, &mut [])
    };
    passages.into_iter().map(&mut decide).collect()
}

fn unanswered() -> Reason {
    let detail = "the table did not say which events are duplicates; the rest of the batch comes again".to_owned();
    Reason { code: "unavailable".to_owned(), detail }
}

fn fate(passage: Passage<Vec<u8>>, answers: &[bool], batch: &mut SeenInBatch, counts: &mut [ProcessorCounters]) -> Fate {
    for (gate, is_open) in passage.gates.iter().zip(answers) {
        let was_reached = gate.before.is_none_or(|before| answers[before]);
        if let Some(count) = counts.get_mut(gate.processor)
            && was_reached
            && !is_open
        {
            count.sent = count.sent.saturating_sub(1);
        }
    }
    let is_open = |branch: &Branch<Vec<u8>>| branch.gate.is_none_or(|gate| answers[gate]);
    let mut records = Vec::with_capacity(passage.branches.len());
    for branch in passage.branches {
        if is_open(&branch) {
            match branch.end {
                Ok(record) => records.push(record),
                Err(failure) => return Fate::Dead(failure),
            }
        }
    }
    if !records.is_empty() {
        let marks = passage.gates.iter().zip(answers).filter_map(|(gate, is_open)| match &gate.question {
            Question::Dedupe(mark, store) if *is_open => Some((*mark, *store)),
            _ => None,
        });
        let marks: Vec<(Mark, KeyStore)> = marks.collect();
        batch.extend(marks.iter().map(|(mark, _)| mark.key));
        Fate::Forwarded(records, marks)
    } else if answers.contains(&false) {
        Fate::Deduplicated
    } else {
        Fate::Filtered
    }
}
