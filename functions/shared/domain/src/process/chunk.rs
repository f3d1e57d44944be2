//! What became of a chunk of a batch: how far it is done, and what that adds to the stats.

use time::OffsetDateTime;

use super::RawRecord;
use super::gate::{Fate, KeyStore};
use crate::dead_letter::Reason;
use crate::dedupe::Mark;
use crate::outcome::RetryReason;
use crate::publish::PutResult;
use crate::stats::{BatchStats, LastError};

/// A chunk after its dead letters and its events were handed on.
pub(super) struct ChunkOutcome<'c> {
    /// Its records.
    pub(super) chunk: &'c [RawRecord<'c>],
    /// What was decided of them, from the first one on.
    pub(super) fates: &'c [Fate],
    /// Why some records have no fate, if so.
    pub(super) stopped: Option<Reason>,
    /// Why dead letters are not known to be kept, if so.
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
        let unkept = || {
            let first = self.fates.iter().position(|fate| matches!(fate, Fate::Dead(_)))?;
            Some((first, transient("the delivery stream for dead letters", self.unkept?)))
        };
        let unsettled = || Some((self.fates.len(), self.stopped.clone()?));
        unsent.or_else(unkept).or_else(unsettled)
    }

    /// What is to be remembered of the events that are on the processed stream, whole.
    pub(super) fn marks(&self) -> Vec<(Mark, KeyStore)> {
        let mut marks = Vec::new();
        for of_one in self.sent.chunk_by(|one, next| one.0 == next.0) {
            if let Some(Fate::Forwarded(_, of_event)) = self.fates.get(of_one[0].0)
                && of_one.iter().all(|(_, _, result)| result.is_ok())
            {
                marks.extend(of_event);
            }
        }
        marks
    }

    /// Adds the records that are done, and everything that was written.
    pub(super) fn count(&self, stats: &mut BatchStats, now: OffsetDateTime) {
        let failure = self.failure();
        let done = failure.as_ref().map_or(self.chunk.len(), |(index, _)| *index);
        self.chunk[..done].iter().for_each(|record| stats.count_event(record.data.len(), record.arrived_at, now));

        let counters = &mut stats.counters;
        for fate in &self.fates[..done] {
            match fate {
                Fate::Forwarded(..) => counters.forwarded += 1,
                Fate::Filtered => counters.filtered += 1,
                Fate::Deduplicated => counters.deduplicated += 1,
                Fate::Dead(_) => counters.dead_lettered += 1,
            }
        }
        for (_, size, _) in self.sent.iter().filter(|(_, _, result)| result.is_ok()) {
            counters.sent += 1;
            counters.sent_bytes += *size as u64;
        }
        let mut dead = self.fates.iter().filter_map(|fate| if let Fate::Dead(failure) = fate { Some(failure) } else { None });
        let newest_letter = if self.unkept.is_none() {
            counters.letters_sent += dead.clone().count() as u64;
            dead.next_back().map(super::Failure::summary)
        } else {
            None
        };
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
