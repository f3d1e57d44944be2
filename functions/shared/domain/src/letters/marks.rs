//! What is kept of the letters that were put back.

use time::OffsetDateTime;

use crate::dead_letter::LetterId;
use crate::ids::IngestId;
use crate::store::StoreFault;

/// What is known of a letter beside the letter itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// When it was put back last.
    pub redriven_at: Option<OffsetDateTime>,
    /// Until when it belongs to a request that puts it back.
    pub claimed_until: Option<OffsetDateTime>,
    /// Its event was a letter before: what it went through until it was put back.
    pub before: Option<TriedBefore>,
}

/// What an event went through before it was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriedBefore {
    /// When it arrived for the first time.
    pub first_time: OffsetDateTime,
    /// How often it was tried.
    pub attempts: u32,
}

/// How a letter is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The time of the claim: older ones that have run out by now do not count.
    pub now: OffsetDateTime,
    /// When it runs out.
    pub until: OffsetDateTime,
    /// Whether a letter that was put back before may be put back again.
    pub again: bool,
    /// Drawn by the request that claims: what it has claimed it may claim again, for its first try may have been written unheard.
    pub token: u64,
}

/// How a letter was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBack {
    /// When.
    pub at: OffsetDateTime,
    /// The record's name on the raw stream, by which a new letter of the same event is known.
    pub sequence_number: String,
    /// What the event went through so far.
    pub before: TriedBefore,
}

/// Reads what is known of letters.
#[async_trait::async_trait]
pub trait MarkReader: Send + Sync {
    /// Reads the marks of letters of a stream, one a letter, in order.
    async fn load(&self, stream: &IngestId, letters: &[&LetterId]) -> Result<Vec<Marks>, StoreFault>;
}

/// Sees to it that a letter is put back once.
#[async_trait::async_trait]
pub trait RedriveMarks: MarkReader {
    /// Takes a letter in hand, unless another request has it, or had it and put it back. Returns whether that worked.
    async fn claim(&self, stream: &IngestId, letter: &LetterId, claim: Claim) -> Result<bool, StoreFault>;

    /// Gives a letter up that was not put back, unless another request has it by now. A claim that is not given up runs out.
    async fn release(&self, stream: &IngestId, letter: &LetterId, claim: Claim) -> Result<(), StoreFault>;

    /// Notes that a letter was put back, which ends its claim, and what its event went through before.
    async fn mark(&self, stream: &IngestId, letter: &LetterId, put_back: &PutBack) -> Result<(), StoreFault>;
}
