//! The marks of dead letters, and raw streams that take events back, in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use time::OffsetDateTime;

use crate::dead_letter::{DeadLetter, LetterId, Reason};
use crate::fakes::{PutFault, lock};
use crate::ids::IngestId;
use crate::letters::{Claim, MarkReader, Marks, PutBack, PutBackResult, RawStreams, RedriveMarks, TriedBefore};
use crate::outcome::RetryReason;
use crate::publish::Record;
use crate::store::StoreFault;

/// The letter that the pipeline makes of this text when it is no JSON. Its event arrived, and stopped, at `time`.
pub fn dead_letter(time: OffsetDateTime, event: &str, original: &str) -> DeadLetter {
    DeadLetter {
        id: LetterId::new(time, event),
        stream: "refuse-trucks/1".to_owned(),
        source: "pipeline".to_owned(),
        reason: Reason { code: "undecodable".to_owned(), detail: "not a JSON object".to_owned() },
        path: None,
        first_time: time,
        time,
        attempts: 1,
        request_id: "request-1".to_owned(),
        content_type: "application/json".to_owned(),
        partition_key: format!("key-{event}"),
        original_base64: BASE64_STANDARD.encode(original),
    }
}

/// What goes wrong in one call for marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkFault {
    /// All goes well.
    Ok,
    /// Nothing is read or written.
    Fail,
    /// It is written, but that is not heard.
    FailAfterWrite,
    /// It is written, but that is not heard, so it is written once more; the second answer is heard. The AWS SDK does so by itself.
    WriteTwice,
}

/// The calls for marks, each of which has a script of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarkCall {
    /// Marks are read.
    Load,
    /// A letter is claimed.
    Claim,
    /// A claim is given up.
    Release,
    /// A letter is marked.
    Mark,
}

/// Keeps marks with the same conditions as the real table.
#[derive(Debug, Default)]
pub struct FakeMarks {
    scripts: Mutex<HashMap<MarkCall, VecDeque<MarkFault>>>,
    letters: Mutex<BTreeMap<(IngestId, LetterId), Kept>>,
    events: Mutex<BTreeMap<(IngestId, String), TriedBefore>>,
    writes: Mutex<usize>,
}

/// What is kept of a letter.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    marks: Marks,
    /// The token of the claim.
    claimed_by: Option<u64>,
}

impl FakeMarks {
    /// One fault a call of this kind, in order; then all goes well.
    pub fn script(&self, call: MarkCall, script: impl IntoIterator<Item = MarkFault>) {
        lock(&self.scripts).insert(call, script.into_iter().collect());
    }

    /// What is kept of a letter.
    pub fn stored(&self, stream: &IngestId, letter: &LetterId) -> Marks {
        let Kept { mut marks, .. } = lock(&self.letters).get(&(stream.clone(), letter.clone())).copied().unwrap_or_default();
        marks.before = lock(&self.events).get(&(stream.clone(), letter.event().to_owned())).copied();
        marks
    }

    /// How many writes were tried.
    pub fn writes(&self) -> usize {
        *lock(&self.writes)
    }

    /// Calls `write` as the script says.
    fn called<T>(&self, call: MarkCall, write: impl Fn() -> T) -> Result<T, StoreFault> {
        *lock(&self.writes) += usize::from(call != MarkCall::Load);
        let fault = lock(&self.scripts).get_mut(&call).and_then(VecDeque::pop_front).unwrap_or(MarkFault::Ok);
        let times = match fault {
            MarkFault::Fail => 0,
            MarkFault::Ok | MarkFault::FailAfterWrite => 1,
            MarkFault::WriteTwice => 2,
        };
        let mut last = None;
        for _ in 0..times {
            last = Some(write());
        }
        match last {
            Some(written) if fault != MarkFault::FailAfterWrite => Ok(written),
            _ => Err(StoreFault::new("scripted failure of the marks")),
        }
    }

    fn change<T>(&self, stream: &IngestId, letter: &LetterId, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(lock(&self.letters).entry((stream.clone(), letter.clone())).or_default())
    }
}

#[async_trait::async_trait]
impl MarkReader for FakeMarks {
    async fn load(&self, stream: &IngestId, letters: &[&LetterId]) -> Result<Vec<Marks>, StoreFault> {
        self.called(MarkCall::Load, || letters.iter().map(|letter| self.stored(stream, letter)).collect())
    }
}

#[async_trait::async_trait]
impl RedriveMarks for FakeMarks {
    async fn claim(&self, stream: &IngestId, letter: &LetterId, claim: Claim) -> Result<bool, StoreFault> {
        self.called(MarkCall::Claim, || {
            self.change(stream, letter, |Kept { marks, claimed_by }| {
                let is_free = marks.claimed_until.is_none_or(|until| until < claim.now) || *claimed_by == Some(claim.token);
                let may_be_claimed = is_free && (claim.again || marks.redriven_at.is_none());
                if may_be_claimed {
                    (marks.claimed_until, *claimed_by) = (Some(claim.until), Some(claim.token));
                }
                may_be_claimed
            })
        })
    }

    async fn release(&self, stream: &IngestId, letter: &LetterId, claim: Claim) -> Result<(), StoreFault> {
        self.called(MarkCall::Release, || {
            self.change(stream, letter, |Kept { marks, claimed_by }| {
                if *claimed_by == Some(claim.token) {
                    (marks.claimed_until, *claimed_by) = (None, None);
                }
            });
        })
    }

    async fn mark(&self, stream: &IngestId, letter: &LetterId, put_back: &PutBack) -> Result<(), StoreFault> {
        self.called(MarkCall::Mark, || {
            self.change(stream, letter, |Kept { marks, claimed_by }| {
                (marks.redriven_at, marks.claimed_until, *claimed_by) = (Some(put_back.at), None, None);
            });
            lock(&self.events).insert((stream.clone(), put_back.sequence_number.clone()), put_back.before);
        })
    }
}

/// Keeps what is put back, by stream. The n-th record gets the sequence number n.
#[derive(Debug, Default)]
pub struct FakeRawStreams {
    script: Mutex<VecDeque<PutFault>>,
    calls: Mutex<Vec<usize>>,
    stored: Mutex<Vec<(String, String, String)>>,
}

impl FakeRawStreams {
    /// One fault a call, in order; then all goes well.
    pub fn script(&self, script: impl IntoIterator<Item = PutFault>) {
        *lock(&self.script) = script.into_iter().collect();
    }

    /// How many records each call had.
    pub fn calls(&self) -> Vec<usize> {
        lock(&self.calls).clone()
    }

    /// What a stream holds: data and partition key, in the order of the sequence numbers.
    pub fn stored(&self, stream: &str) -> Vec<(String, String)> {
        let stored = lock(&self.stored);
        stored.iter().filter(|(name, _, _)| name == stream).map(|(_, data, key)| (data.clone(), key.clone())).collect()
    }
}

#[async_trait::async_trait]
impl RawStreams for FakeRawStreams {
    async fn put_back(&self, stream: &str, records: &[Record<'_>]) -> Result<Vec<PutBackResult>, RetryReason> {
        lock(&self.calls).push(records.len());
        let fault = lock(&self.script).pop_front().unwrap_or(PutFault::Ok);
        let failed = match &fault {
            PutFault::Throttle => return Err(RetryReason::Throttled),
            PutFault::Unavailable => return Err(RetryReason::Unavailable),
            PutFault::PartialFailure(failed) => failed.as_slice(),
            PutFault::Ok | PutFault::TimeoutAfterWrite => &[],
        };
        let mut stored = lock(&self.stored);
        let mut put = |record: &Record<'_>| {
            stored.push((stream.to_owned(), String::from_utf8_lossy(record.data).into_owned(), record.partition_key.to_owned()));
            stored.len().to_string()
        };
        let results = records.iter().enumerate();
        let results = results.map(|(index, record)| if failed.contains(&index) { Err(RetryReason::Throttled) } else { Ok(put(record)) });
        let results = results.collect();
        if fault == PutFault::TimeoutAfterWrite { Err(RetryReason::TimedOut) } else { Ok(results) }
    }
}
