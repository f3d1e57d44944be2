//! What became of a chunk of a batch: how far it is done, and what that adds to the stats.

use time::OffsetDateTime;

use super::RawRecord;
use crate::dead_letter::Reason;
use crate::outcome::RetryReason;
use crate::publish::PutResult;
use crate::stats::{BatchStats, LastError};

/// A chunk after its dead letters and its events were handed on.
pub(super) struct ChunkOutcome<'c> {
    /// Its records.
    pub(super) chunk: &'c [RawRecord<'c>],
    /// The places of dead letters, with their reasons.
    pub(super) dead: Vec<(usize, &'c Reason)>,
    /// The places of records of which nothing was left.
    pub(super) filtered: Vec<usize>,
    /// Why they are not known to be kept, if so.
    pub(super) unkept: Option<RetryReason>,
    /// The places of events that were sent, with their sizes and what came of them.
    pub(super) sent: Vec<(usize, usize, PutResult)>,
}

impl ChunkOutcome<'_> {
    /// The first record that must come again, if any.
    pub(super) fn failed_at(&self) -> Option<usize> {
        self.failure().map(|(index, _)| index)
    }

    /// That record, and why. What was sent lies before a letter that was not kept.
    fn failure(&self) -> Option<(usize, Reason)> {
        let unsent = self.sent.iter().find_map(|(index, _, result)| Some((*index, transient("the processed stream", (*result).err()?))));
        let unkept = || Some((self.dead.first()?.0, transient("the delivery stream for dead letters", self.unkept?)));
        unsent.or_else(unkept)
    }

    /// Adds the records that are done, and everything that was written.
    pub(super) fn count(&self, stats: &mut BatchStats, now: OffsetDateTime) {
        let failure = self.failure();
        let done = failure.as_ref().map_or(self.chunk.len(), |(index, _)| *index);
        self.chunk[..done].iter().for_each(|record| stats.count_event(record.data.len(), record.arrived_at, now));

        let counters = &mut stats.counters;
        counters.forwarded += self.sent.chunk_by(|one, next| one.0 == next.0).filter(|of_one| of_one[0].0 < done).count() as u64;
        counters.filtered += self.filtered.iter().filter(|index| **index < done).count() as u64;
        counters.dead_lettered += self.dead.iter().filter(|(index, _)| *index < done).count() as u64;
        for (_, size, _) in self.sent.iter().filter(|(_, _, result)| result.is_ok()) {
            counters.sent += 1;
            counters.sent_bytes += *size as u64;
        }
        if self.unkept.is_none() {
            counters.letters_sent += self.dead.len() as u64;
        }

        let newest_letter = self.dead.last().filter(|_| self.unkept.is_none()).map(|(_, reason)| (*reason).clone());
        if let Some(reason) = failure.map(|(_, reason)| reason).or(newest_letter) {
            stats.last_error = Some(LastError::new(now, &reason));
        }
    }
}

/// Why the rest of a batch comes again.
fn transient(place: &str, reason: RetryReason) -> Reason {
    let (code, what) = match reason {
        RetryReason::Throttled => ("throttled", "is at its limit"),
        RetryReason::TimedOut => ("timed_out", "did not answer in time"),
        RetryReason::Unavailable => ("unavailable", "did not take a record"),
    };
    Reason { code: code.to_owned(), detail: format!("{place} {what}; the rest of the batch comes again") }
}
