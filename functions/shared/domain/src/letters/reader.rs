//! Letters for people to look at: a page of them, or one.

use std::time::Duration;

use time::OffsetDateTime;

use crate::dead_letter::{DeadLetter, LetterId};
use crate::history::StoredObjects;
use crate::letters::LetterLimits;
use crate::letters::cursor::Cursor;
use crate::letters::marks::{MarkReader, Marks, TriedBefore};
use crate::letters::query::{LettersQuery, Wanted};
use crate::letters::scan::{LetterEffort, Next, Reading, Scan};
use crate::names::dead_letters_prefix;
use crate::publish::Deadline;
use crate::record::StreamRecord;
use crate::store::StoreFault;
use crate::system::System;

/// A letter with what is known beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownLetter {
    /// The letter. Time of arrival and attempts are those of the event since it came for the first time.
    pub letter: DeadLetter,
    /// When it was put back, if it was.
    pub redriven_at: Option<OffsetDateTime>,
}

impl ShownLetter {
    fn new(mut letter: DeadLetter, marks: &Marks) -> Self {
        let TriedBefore { first_time, attempts } = tried(&letter, marks);
        (letter.first_time, letter.attempts) = (first_time, attempts);
        Self { letter, redriven_at: marks.redriven_at }
    }
}

/// What the event of a letter went through until it became this letter.
pub(super) fn tried(letter: &DeadLetter, marks: &Marks) -> TriedBefore {
    let before = marks.before.unwrap_or(TriedBefore { first_time: letter.first_time, attempts: 0 });
    TriedBefore { first_time: before.first_time.min(letter.first_time), attempts: before.attempts.saturating_add(letter.attempts) }
}

/// Letters in the order of the objects in which they lie.
#[derive(Debug)]
pub struct LettersPage {
    /// The letters.
    pub values: Vec<ShownLetter>,
    /// Where to go on, when there may be more.
    pub next: Option<Cursor>,
    /// What it took, for the log.
    pub effort: LetterEffort,
}

/// Why one letter is not shown.
#[derive(Debug, thiserror::Error)]
pub enum LetterFault {
    /// There is none of that id.
    #[error("there is no such dead letter")]
    Missing,
    /// More lies behind its arrival than can be read while the caller waits.
    #[error("the dead letter was not found in the time of one request")]
    OutOfTime,
    /// Objects or marks could not be read.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Shows letters.
pub struct LettersReader<'l> {
    /// Where letters lie.
    pub objects: &'l dyn StoredObjects,
    /// What is known beside them.
    pub marks: &'l dyn MarkReader,
    /// The clock.
    pub system: &'l dyn System,
    /// When to stop.
    pub deadline: Deadline,
    /// How much may be held.
    pub limits: LetterLimits,
}

impl LettersReader<'_> {
    /// Returns one page. It ends early rather than not at all when time or room run out.
    ///
    /// # Errors
    /// Objects or marks could not be read.
    pub async fn page(&self, record: &StreamRecord, query: &LettersQuery) -> Result<LettersPage, StoreFault> {
        let wanted = Wanted::Matching(query.matching.clone());
        let mut scan = Scan::new(self.reading(&wanted, query.page_size), &dead_letters_prefix(&record.key), query.cursor.clone());
        let (mut letters, mut bytes) = (Vec::new(), 0);
        let next = loop {
            if letters.len() == query.page_size {
                break (!scan.is_over()).then(|| scan.position().clone());
            }
            let behind = scan.position().clone();
            match scan.next().await? {
                Next::Letter(found) => {
                    bytes += found.answer_bytes;
                    if bytes > self.limits.page_bytes && !letters.is_empty() {
                        break Some(behind);
                    }
                    letters.push(found.letter);
                }
                Next::End => break None,
                Next::OutOfTime => break Some(scan.position().clone()),
            }
        };
        Ok(LettersPage { values: self.show(record, letters).await?, next, effort: scan.effort() })
    }

    /// Finds one letter among those that were written since its event arrived.
    ///
    /// # Errors
    /// See [`LetterFault`].
    pub async fn find(&self, record: &StreamRecord, id: &LetterId) -> Result<ShownLetter, LetterFault> {
        let wanted = Wanted::Ids(vec![id.clone()]);
        let mut scan = Scan::new(self.reading(&wanted, 1), &dead_letters_prefix(&record.key), None);
        let letter = match scan.next().await? {
            Next::Letter(found) => found.letter,
            Next::End => return Err(LetterFault::Missing),
            Next::OutOfTime => return Err(LetterFault::OutOfTime),
        };
        self.show(record, vec![letter]).await?.pop().ok_or(LetterFault::Missing)
    }

    fn reading<'r>(&'r self, wanted: &'r Wanted, most: usize) -> Reading<'r> {
        let Self { objects, marks: _, system, deadline, limits } = *self;
        Reading { objects, system, deadline, reserve: Duration::ZERO, limits, most, wanted }
    }

    async fn show(&self, record: &StreamRecord, letters: Vec<DeadLetter>) -> Result<Vec<ShownLetter>, StoreFault> {
        let ids: Vec<&LetterId> = letters.iter().map(|letter| &letter.id).collect();
        let marks = if ids.is_empty() { Vec::new() } else { self.marks.load(&record.ingest_id, &ids).await? };
        Ok(letters.into_iter().zip(&marks).map(|(letter, marks)| ShownLetter::new(letter, marks)).collect())
    }
}
