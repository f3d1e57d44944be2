//! What only the world outside can answer about an event: whether it is a duplicate, and whether it may go on now.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// The fates, one at least unless it stopped. Events without one are taken up once these are handed on.
    pub(super) fates: Vec<Fate>,
    /// Why the others have to come again, if so.
    pub(super) stopped: Option<Reason>,
}

/// The keys of a batch's events that are forwarded, whether or not they are remembered yet.
pub(super) type SeenInBatch = HashSet<SeenKey>;

/// What is kept of an invocation's time when an event waits for a rate limit, to hand on what is done. Ours.
const WAIT_RESERVE: Duration = Duration::from_secs(5);

impl Gatekeeper<'_> {
    /// Decides what becomes of events, in their order, until one has to wait: those before it should not wait with it. Takes away those
    /// that are decided.
    pub(super) async fn settle(
        &self,
        passages: &mut VecDeque<Passage<Vec<u8>>>,
        batch: &mut SeenInBatch,
        counts: &mut [ProcessorCounters],
        time: (&dyn System, Deadline),
    ) -> Settled {
        let mut fates = Vec::with_capacity(passages.len());
        let (seen, unanswered) = self.seen(passages, time).await;
        while let Some(passage) = passages.front() {
            if unanswered.is_some() && passage.asks_the_table() {
                return Settled { fates, stopped: unanswered };
            }
            let mut paid = HashSet::new();
            let answers = loop {
                let known = Known { seen: &seen, batch };
                let permit = |name: &str, limit: &LocalRateLimit| self.limits.take(name, limit, time.0.now());
                match answers(passage, &known, &mut paid, permit) {
                    Ok(answers) => break answers,
                    Err(_) if !fates.is_empty() => return Settled { fates, stopped: None },
                    Err(pause) => {
                        if let Err(stopped) = wait(pause, time).await {
                            return Settled { fates, stopped: Some(stopped) };
                        }
                    }
                }
            };
            fates.extend(passages.pop_front().map(|passage| fate(passage, &answers, batch, counts)));
        }
        Settled { fates, stopped: None }
    }

    /// Looks up all keys of a chunk at once. Also says why the table's are not known, if so.
    async fn seen(&self, passages: &VecDeque<Passage<Vec<u8>>>, (system, deadline): (&dyn System, Deadline)) -> (Seen, Option<Reason>) {
        let keys = |wanted: KeyStore| -> Vec<SeenKey> {
            let gates = passages.iter().flat_map(|passage| &passage.gates);
            let keys = gates.filter_map(|gate| match &gate.question {
                Question::Dedupe(mark, store) if *store == wanted => Some(mark.key),
                _ => None,
            });
            keys.collect::<HashSet<_>>().into_iter().collect()
        };
        let (in_table, in_memory) = (keys(KeyStore::Table), keys(KeyStore::Memory));
        let of = |store: KeyStore, keys: Vec<SeenKey>, answers: Vec<bool>| {
            let seen = keys.into_iter().zip(answers).filter(|(_, is_seen)| *is_seen);
            seen.map(move |(key, _)| (store, key)).collect::<Vec<_>>()
        };
        let answers = self.memory.seen(&in_memory, system.now());
        let mut seen: Seen = of(KeyStore::Memory, in_memory, answers).into_iter().collect();
        if in_table.is_empty() {
            return (seen, None);
        }
        match within(system, deadline.left(system.now()), self.table.seen(&in_table, system.now())).await {
            Some(Ok(answers)) => {
                seen.extend(of(KeyStore::Table, in_table, answers));
                (seen, None)
            }
            Some(Err(_)) | None => (seen, Some(unanswered())),
        }
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

/// The keys that were seen, by where they are remembered.
type Seen = HashSet<(KeyStore, SeenKey)>;

/// What is known of a chunk's keys.
struct Known<'k> {
    seen: &'k Seen,
    batch: &'k SeenInBatch,
}

/// Says of every gate of an event whether it is open. What is behind a closed one is not asked, and an event asks each rate limit once.
///
/// # Errors
/// How long to wait for a rate limit before asking again.
fn answers(
    passage: &Passage<Vec<u8>>,
    known: &Known<'_>,
    paid: &mut HashSet<usize>,
    permit: impl Fn(&str, &LocalRateLimit) -> Result<(), Duration>,
) -> Result<Vec<bool>, Duration> {
    let mut answers: Vec<bool> = Vec::with_capacity(passage.gates.len());
    if passage.gates.is_empty() {
        return Ok(answers);
    }
    let mut own = HashSet::new();
    let leads_on = passage.gates_before(|branch| branch.end.is_ok());
    for (index, gate) in passage.gates.iter().enumerate() {
        let is_reached = gate.before.is_none_or(|before| answers[before]);
        let is_open = is_reached
            && match &gate.question {
                Question::Dedupe(Mark { key, .. }, store) => {
                    let is_new = !known.seen.contains(&(*store, *key)) && !known.batch.contains(key);
                    is_new && (!leads_on.contains(&index) || own.insert((gate.processor, *key)))
                }
                Question::RateLimit(name, limit) => {
                    if !paid.contains(&gate.processor) {
                        permit(name, limit)?;
                        paid.insert(gate.processor);
                    }
                    true
                }
            };
        answers.push(is_open);
    }
    Ok(answers)
}

/// Waits for a rate limit.
///
/// # Errors
/// It has no room in what is left of the invocation.
async fn wait(pause: Duration, (system, deadline): (&dyn System, Deadline)) -> Result<(), Reason> {
    let left = deadline.left(system.now()).saturating_sub(WAIT_RESERVE);
    system.sleep(pause.min(left)).await;
    if pause <= left {
        return Ok(());
    }
    let detail = "a rate limit had no room in the time of one invocation; the rest of the batch comes again".to_owned();
    Err(Reason { code: "rate_limited".to_owned(), detail })
}

/// Decides what would become of events that are alone in the world: what came before them is not known, and rate limits have room.
pub fn fates_alone(passages: Vec<Passage<Vec<u8>>>) -> Vec<Fate> {
    let (nothing, mut batch) = (Seen::new(), SeenInBatch::new());
    let mut fates = Vec::with_capacity(passages.len());
    for passage in passages {
        let known = Known { seen: &nothing, batch: &batch };
        let answers = answers(&passage, &known, &mut HashSet::new(), |_, _| Ok(())).unwrap_or_default();
        fates.push(fate(passage, &answers, &mut batch, &mut []));
    }
    fates
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
    let passed = passage.gates_before(|branch| branch.end.is_ok() && is_open(branch));
    let mut records = Vec::with_capacity(passage.branches.len());
    for branch in passage.branches {
        if is_open(&branch) {
            match branch.end {
                Ok(record) => records.push(record),
                Err(failure) => return Fate::Dead(failure),
            }
        }
    }
    if records.is_empty() {
        return if answers.contains(&false) { Fate::Deduplicated } else { Fate::Filtered };
    }
    // Only what leads to a record is remembered: an event that went no further may come again.
    let marks = passage.gates.iter().enumerate().filter_map(|(index, gate)| match &gate.question {
        Question::Dedupe(mark, store) if passed.contains(&index) => Some((*mark, *store)),
        _ => None,
    });
    let marks: Vec<(Mark, KeyStore)> = marks.collect();
    batch.extend(marks.iter().map(|(mark, _)| mark.key));
    Fate::Forwarded(records, marks)
}
