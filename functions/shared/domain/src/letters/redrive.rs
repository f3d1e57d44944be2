//! Putting letters back on the raw stream, each once.

use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::stream::{self, StreamExt};

use crate::dead_letter::{DeadLetter, LetterId};
use crate::history::StoredObjects;
use crate::ids::IngestId;
use crate::ingest::{Event, EventRules, check};
use crate::input::Input;
use crate::letters::cursor::Cursor;
use crate::letters::marks::{Claim, Marks, PutBack, RedriveMarks};
use crate::letters::put_back::{Putter, RawStreams};
use crate::letters::query::Wanted;
use crate::letters::reader::tried;
use crate::letters::request::{Progress, RedriveRequest};
use crate::letters::scan::{LetterEffort, Next, Reading, Scan};
use crate::letters::{LetterLimits, MARKS_AT_ONCE};
use crate::limits::{LETTER_CLAIM_TIME, MAX_PARTITION_KEY_CHARS, MAX_RECORD_BYTES, REDRIVE_BATCH_TIME, REDRIVE_MARK_TIME};
use crate::names::dead_letters_prefix;
use crate::publish::{Deadline, Record};
use crate::record::StreamRecord;
use crate::store::StoreFault;
use crate::system::System;

/// What became of the letters of a request.
#[derive(Debug, Default)]
pub struct RedriveOutcome {
    /// Put back.
    pub redriven: usize,
    /// Put back before, or being put back by another request.
    pub skipped: usize,
    /// Not put back: the raw stream or the marks would not, for this letter or for one of its key before it; or it is nothing that the
    /// stream could take, such as an event that ingest would find not valid still.
    pub failed: usize,
    /// Ids that no letter has.
    pub not_found: Vec<LetterId>,
    /// Where to go on, when there may be more.
    pub next: Option<Cursor>,
    /// Letters that were put back and could not be marked: they can be put back once more.
    pub unmarked: usize,
    /// The first fault on the way, for the log.
    pub fault: Option<StoreFault>,
    /// What it took, for the log.
    pub effort: LetterEffort,
}

impl RedriveOutcome {
    fn handled(&self) -> usize {
        self.redriven + self.skipped + self.failed
    }

    fn note(&mut self, fault: StoreFault) {
        self.fault.get_or_insert(fault);
    }
}

/// Puts letters back.
pub struct Redriver<'r> {
    /// Where letters lie.
    pub objects: &'r dyn StoredObjects,
    /// Sees to it that each is put back once.
    pub marks: &'r dyn RedriveMarks,
    /// Takes the events.
    pub raw: &'r dyn RawStreams,
    /// What the stream's document asks of events that ingest kept.
    pub rules: Option<&'r dyn EventRules>,
    /// Clock, sleep, chance.
    pub system: &'r dyn System,
    /// When to stop.
    pub deadline: Deadline,
    /// How much may be held and done.
    pub limits: LetterLimits,
    /// Whether to say only what would be done.
    pub is_dry_run: bool,
}

/// Whose letters, and where they go.
struct Target<'t> {
    stream: &'t IngestId,
    raw_stream: &'t str,
    /// What letters must hold.
    input: &'t Input,
    force: bool,
    /// See [`Claim::token`].
    token: u64,
}

/// A letter in hand.
struct InHand {
    letter: DeadLetter,
    marks: Marks,
    data: Vec<u8>,
}

impl Redriver<'_> {
    /// Puts the letters of a request back on a raw stream, in the order in which they lie, those of one partition key one after another.
    /// Behind one that fails, no other of its key is put back by this request. Stops early, and says where, when time runs out or it has
    /// taken enough letters in hand.
    ///
    /// # Errors
    /// Nothing was done, for objects or marks could not be read.
    pub async fn redrive(&self, record: &StreamRecord, raw_stream: &str, request: &RedriveRequest) -> Result<RedriveOutcome, StoreFault> {
        let target = Target {
            stream: &record.ingest_id,
            raw_stream,
            input: &record.document.input,
            force: request.force,
            token: self.system.random(),
        };
        let mut progress = Progress::new(request, self.system.now());
        let wanted = progress.wanted();
        let mut scan = Scan::new(self.reading(&wanted), &dead_letters_prefix(&record.key), request.cursor.clone());
        let mut outcome = RedriveOutcome::default();
        let (mut seen, mut stopped) = (HashSet::new(), HashSet::new());
        loop {
            let behind = scan.position().clone();
            let (letters, stop) = self.gather(&mut scan, &wanted, outcome.handled(), &mut seen).await;
            // The first are taken in hand whatever time is left, so that every request gets further.
            if outcome.handled() > 0 && !letters.fresh.is_empty() && self.is_too_late_for_more() {
                outcome.next = Some(progress.in_cursor(&behind));
                break;
            }
            if let Err(fault) = self.put_back(&target, &letters.fresh, &mut outcome, &mut stopped).await {
                if outcome.handled() == 0 {
                    return Err(fault);
                }
                outcome.note(fault);
                outcome.next = Some(progress.in_cursor(&behind));
                break;
            }
            outcome.skipped += letters.copies;
            letters.fresh.iter().for_each(|letter| progress.note(&letter.id));
            match stop {
                None => continue,
                Some(Stop::End) => outcome.not_found = progress.open(),
                Some(Stop::Enough) => outcome.next = Some(progress.in_cursor(scan.position())),
                Some(Stop::Fault(fault)) if outcome.handled() == 0 => return Err(fault),
                Some(Stop::Fault(fault)) => {
                    outcome.note(fault);
                    outcome.next = Some(progress.in_cursor(scan.position()));
                }
            }
            break;
        }
        outcome.effort = scan.effort();
        Ok(outcome)
    }

    fn reading<'w>(&'w self, wanted: &'w Wanted) -> Reading<'w> {
        let (objects, system, deadline, limits) = (self.objects, self.system, self.deadline, self.limits);
        Reading { objects, system, deadline, reserve: REDRIVE_BATCH_TIME, limits, most: limits.batch, wanted }
    }

    /// Returns whether letters that were read ahead are better left to the next request.
    fn is_too_late_for_more(&self) -> bool {
        self.deadline.is_past(self.system.now() + REDRIVE_BATCH_TIME)
    }

    /// Takes as many letters as are put back together, and says when these are the last.
    async fn gather(&self, scan: &mut Scan<'_>, wanted: &Wanted, handled: usize, seen: &mut HashSet<LetterId>) -> (Gathered, Option<Stop>) {
        let mut gathered = Gathered::default();
        let mut bytes = 0;
        loop {
            let count = gathered.fresh.len() + gathered.copies;
            if handled + count >= self.limits.redrive {
                return (gathered, Some(if scan.is_over() { Stop::End } else { Stop::Enough }));
            }
            // Of an id, the first letter is enough.
            let has_all = matches!(wanted, Wanted::Ids(ids) if ids.len() == seen.len());
            if has_all {
                return (gathered, Some(Stop::End));
            }
            if count >= self.limits.batch || bytes >= self.limits.page_bytes {
                return (gathered, None);
            }
            match scan.next().await {
                Ok(Next::Letter(found)) => {
                    bytes += found.answer_bytes;
                    if seen.insert(found.letter.id.clone()) {
                        gathered.fresh.push(found.letter);
                    } else if matches!(wanted, Wanted::Matching(_)) {
                        gathered.copies += 1;
                    }
                }
                Ok(Next::End) => return (gathered, Some(Stop::End)),
                Ok(Next::OutOfTime) => return (gathered, Some(Stop::Enough)),
                Err(fault) => return (gathered, Some(Stop::Fault(fault))),
            }
        }
    }

    /// Puts letters back and counts what became of each. None goes behind one of the `stopped` keys, to which it adds those of letters that
    /// fail here.
    ///
    /// # Errors
    /// Nothing was done, for the marks could not be read.
    async fn put_back(
        &self,
        target: &Target<'_>,
        letters: &[DeadLetter],
        outcome: &mut RedriveOutcome,
        stopped: &mut HashSet<String>,
    ) -> Result<(), StoreFault> {
        if letters.is_empty() {
            return Ok(());
        }
        let ids: Vec<&LetterId> = letters.iter().map(|letter| &letter.id).collect();
        let marks = self.marks.load(target.stream, &ids).await?;
        let now = self.system.now();
        let claim = Claim { now, until: now + LETTER_CLAIM_TIME, again: target.force, token: target.token };
        let mut free = Vec::new();
        for (letter, marks) in letters.iter().zip(marks) {
            let is_taken = marks.claimed_until.is_some_and(|until| until >= now) || (marks.redriven_at.is_some() && !target.force);
            match self.original(letter, target.input) {
                _ if is_taken => outcome.skipped += 1,
                // It never will be taken: others of its key need not wait for it.
                None => outcome.failed += 1,
                Some(_) if stopped.contains(&letter.partition_key) => outcome.failed += 1,
                Some(data) => free.push(InHand { letter: letter.clone(), marks, data }),
            }
        }
        if self.is_dry_run {
            outcome.redriven += free.len();
            return Ok(());
        }
        let answers = self.claim(target, free, claim).await;
        let Claimed { ours, behind } = Claimed::sort(answers, outcome, stopped);
        let records: Vec<Record<'_>> =
            ours.iter().map(|InHand { letter, data, .. }| Record { data, partition_key: &letter.partition_key }).collect();
        let putter = Putter { raw: self.raw, system: self.system, deadline: self.deadline, reserve: REDRIVE_MARK_TIME };
        let results = putter.put_in_order(target.raw_stream, &records).await;
        let failed = ours.iter().zip(&results).filter(|(_, result)| result.is_err());
        stopped.extend(failed.map(|(in_hand, _)| in_hand.letter.partition_key.clone()));
        let given_up = behind.iter().map(|in_hand| (in_hand, None));
        let numbered = ours.iter().zip(results.into_iter().map(Result::ok)).chain(given_up);
        let noting = numbered.map(|(in_hand, sequence_number)| self.note(target, in_hand, sequence_number, claim));
        let noted: Vec<Noted> = stream::iter(noting.collect::<Vec<_>>()).buffer_unordered(MARKS_AT_ONCE).collect().await;
        for Noted { is_put, fault } in noted {
            *(if is_put { &mut outcome.redriven } else { &mut outcome.failed }) += 1;
            if let Some(fault) = fault {
                outcome.unmarked += usize::from(is_put);
                outcome.note(fault);
            }
        }
        Ok(())
    }

    /// The event's own bytes, if they are what the stream takes (it may have been another when they came), and if Kinesis can take them
    /// under the key that they had. What ingest kept does not go through ingest again, so it is held against the stream's rules here.
    fn original(&self, letter: &DeadLetter, input: &Input) -> Option<Vec<u8>> {
        let data = BASE64_STANDARD.decode(&letter.original_base64).ok()?;
        let event = Event::kept(&data, &letter.content_type, input.format)?;
        if letter.source == "ingest" && check(event, input, self.rules).0.is_err() {
            return None;
        }
        let key = &letter.partition_key;
        let is_key = (1..=MAX_PARTITION_KEY_CHARS).contains(&key.chars().count());
        (is_key && data.len() + key.len() <= MAX_RECORD_BYTES).then_some(data)
    }

    /// Claims letters; says of each, in order, whether it is ours now.
    async fn claim(&self, target: &Target<'_>, letters: Vec<InHand>, claim: Claim) -> Vec<(InHand, Result<bool, StoreFault>)> {
        let claiming = letters.into_iter().map(async |in_hand| {
            let claimed = self.marks.claim(target.stream, &in_hand.letter.id, claim).await;
            (in_hand, claimed)
        });
        stream::iter(claiming.collect::<Vec<_>>()).buffered(MARKS_AT_ONCE).collect().await
    }

    /// Marks a letter that was put back, or gives it up.
    async fn note(&self, target: &Target<'_>, in_hand: &InHand, sequence_number: Option<String>, claim: Claim) -> Noted {
        let InHand { letter, marks, .. } = in_hand;
        let is_put = sequence_number.is_some();
        let noted = match sequence_number {
            Some(sequence_number) => {
                let put_back = PutBack { at: self.system.now(), sequence_number, before: tried(letter, marks) };
                self.marks.mark(target.stream, &letter.id, &put_back).await
            }
            None => self.marks.release(target.stream, &letter.id, claim).await,
        };
        Noted { is_put, fault: noted.err() }
    }
}

/// Letters to be put back together.
#[derive(Debug, Default)]
struct Gathered {
    fresh: Vec<DeadLetter>,
    /// Letters that lie there a second time: what writes them may do so twice.
    copies: usize,
}

/// Why no more letters are taken.
enum Stop {
    End,
    Enough,
    Fault(StoreFault),
}

/// Letters that were claimed.
#[derive(Default)]
struct Claimed {
    /// They are put back.
    ours: Vec<InHand>,
    /// They lie behind one of their key that could not be claimed, and are given up.
    behind: Vec<InHand>,
}

impl Claimed {
    /// Counts those that could not be claimed, and stops the keys of those for which nobody knows why.
    fn sort(answers: Vec<(InHand, Result<bool, StoreFault>)>, outcome: &mut RedriveOutcome, stopped: &mut HashSet<String>) -> Self {
        let mut claimed = Self::default();
        for (in_hand, answer) in answers {
            match answer {
                Ok(true) if stopped.contains(&in_hand.letter.partition_key) => claimed.behind.push(in_hand),
                Ok(true) => claimed.ours.push(in_hand),
                Ok(false) => outcome.skipped += 1,
                Err(fault) => {
                    outcome.failed += 1;
                    outcome.note(fault);
                    stopped.insert(in_hand.letter.partition_key);
                }
            }
        }
        claimed
    }
}

struct Noted {
    is_put: bool,
    fault: Option<StoreFault>,
}
