//! The walk over the letters that are wanted, one after another, while the objects behind them are read already.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesOrdered, StreamExt};
use serde::Deserialize;
use time::OffsetDateTime;

use crate::dead_letter::{DeadLetter, LetterId};
use crate::history::{EventForm, Line, StoredObjects, Walk, answer_bytes};
use crate::letters::LetterLimits;
use crate::letters::cursor::Cursor;
use crate::letters::query::Wanted;
use crate::publish::Deadline;
use crate::record::rfc3339;
use crate::store::StoreFault;
use crate::system::System;

/// Lines between two looks at the clock.
const LINES_PER_LOOK: u32 = 256;

/// Bytes that an answer adds to a letter at most.
const ADDED_BYTES: usize = 100;

/// What a walk works with.
#[derive(Clone, Copy)]
pub(super) struct Reading<'s> {
    pub(super) objects: &'s dyn StoredObjects,
    pub(super) system: &'s dyn System,
    pub(super) deadline: Deadline,
    /// What must be left of the time until the deadline for more to be read.
    pub(super) reserve: Duration,
    pub(super) limits: LetterLimits,
    /// Letters of one object that are held at most.
    pub(super) most: usize,
    pub(super) wanted: &'s Wanted,
}

/// What a walk took, for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LetterEffort {
    /// Objects read.
    pub objects: usize,
    /// Lines that are no letter, and were left out.
    pub skipped_lines: usize,
}

/// A letter and what it takes.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) letter: DeadLetter,
    /// Its size in a Lambda's answer.
    pub(super) answer_bytes: usize,
    /// The number of its line.
    line: u32,
}

/// The next step of a walk.
#[derive(Debug)]
pub(super) enum Next {
    Letter(Box<Found>),
    /// There is no more.
    End,
    /// There may be more.
    OutOfTime,
}

/// A walk under way.
pub(super) struct Scan<'s> {
    reading: Reading<'s>,
    walk: Walk<'s>,
    is_walk_over: bool,
    /// Where the walk began: what lies before is left out.
    begin: Option<Cursor>,
    running: FuturesOrdered<BoxFuture<'s, Result<Part, StoreFault>>>,
    current: Option<Part>,
    position: Cursor,
    effort: LetterEffort,
}

impl<'s> Scan<'s> {
    pub(super) fn new(reading: Reading<'s>, prefix: &str, begin: Option<Cursor>) -> Self {
        let keys = reading.wanted.keys(prefix, begin.as_ref());
        let position = begin.clone().unwrap_or_else(|| Cursor::behind(prefix));
        Self {
            walk: Walk::new(reading.objects, keys),
            reading,
            is_walk_over: false,
            begin,
            running: FuturesOrdered::new(),
            current: None,
            position,
            effort: LetterEffort::default(),
        }
    }

    /// Behind the last letter that was returned, and behind what holds none.
    pub(super) fn position(&self) -> &Cursor {
        &self.position
    }

    pub(super) fn effort(&self) -> LetterEffort {
        self.effort
    }

    /// Returns whether it is known already that nothing follows.
    pub(super) fn is_over(&self) -> bool {
        let has_more = |part: &Part| !part.letters.is_empty() || part.rest != Rest::None;
        self.is_walk_over && self.running.is_empty() && !self.current.as_ref().is_some_and(has_more)
    }

    /// Returns the next letter.
    pub(super) async fn next(&mut self) -> Result<Next, StoreFault> {
        loop {
            match &mut self.current {
                Some(part) => {
                    if let Some(found) = part.letters.pop_front() {
                        self.position = Cursor::behind_lines(&part.key, found.line + 1);
                        return Ok(Next::Letter(Box::new(found)));
                    }
                    match part.rest {
                        Rest::None => {
                            self.position = Cursor::behind(&part.key);
                            self.current = None;
                        }
                        Rest::Unread { from_line } => {
                            self.position = Cursor::behind_lines(&part.key, from_line);
                            if self.reading.is_out_of_time() {
                                return Ok(Next::OutOfTime);
                            }
                            let key = part.key.clone();
                            let rest = self.reading.object(key, from_line).await?;
                            self.effort.skipped_lines += rest.skipped_lines;
                            self.current = Some(rest);
                        }
                    }
                }
                None => {
                    self.read_ahead().await?;
                    match self.running.next().await {
                        Some(part) => {
                            let part = part?;
                            self.effort.objects += 1;
                            self.effort.skipped_lines += part.skipped_lines;
                            self.current = Some(part);
                        }
                        None if self.is_walk_over => return Ok(Next::End),
                        None => return Ok(Next::OutOfTime),
                    }
                }
            }
        }
    }

    /// Begins to read objects, as many as may be read at once, while there is time.
    async fn read_ahead(&mut self) -> Result<(), StoreFault> {
        while self.running.len() < self.reading.limits.objects_at_once && !self.is_walk_over && !self.reading.is_out_of_time() {
            let Some((key, lines_done)) = self.next_object().await? else {
                self.is_walk_over = true;
                break;
            };
            let reading = self.reading;
            self.running.push_back(async move { reading.object(key, lines_done).await }.boxed());
        }
        Ok(())
    }

    /// Returns the next object that is not wholly done, and how many of its lines are. Those that are done cost no time: else a walk that has
    /// little of it would never get beyond them.
    async fn next_object(&mut self) -> Result<Option<(String, u32)>, StoreFault> {
        while let Some(object) = self.walk.next().await? {
            let lines_done = self.begin.as_ref().map_or(Some(0), |begin| begin.lines_done(&object.key));
            if let (Some(lines_done), true) = (lines_done, object.size > 0) {
                return Ok(Some((object.key, lines_done)));
            }
        }
        Ok(None)
    }
}

/// What was read of one object.
#[derive(Debug)]
struct Part {
    key: String,
    letters: VecDeque<Found>,
    skipped_lines: usize,
    rest: Rest,
}

/// What was not read of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    None,
    /// There was no more time, or no more room.
    Unread {
        from_line: u32,
    },
}

/// What decides whether a letter is wanted: most are not, and need not be read whole.
#[derive(Deserialize)]
struct Head {
    id: LetterId,
    #[serde(with = "rfc3339")]
    time: OffsetDateTime,
    reason: HeadReason,
}

#[derive(Deserialize)]
struct HeadReason {
    code: String,
}

impl Reading<'_> {
    fn is_out_of_time(&self) -> bool {
        self.deadline.is_past(self.system.now() + self.reserve)
    }

    /// Reads an object from a line on.
    async fn object(&self, key: String, from_line: u32) -> Result<Part, StoreFault> {
        let mut part = Part { key: String::new(), letters: VecDeque::new(), skipped_lines: 0, rest: Rest::None };
        let (mut number, mut bytes) = (0, 0);
        let mut visit = |line: Line<'_>| {
            let this = number;
            number += 1;
            if this < from_line {
                return ControlFlow::Continue(());
            }
            let has_looked = this > from_line && this % LINES_PER_LOOK == 0;
            if has_looked && self.is_out_of_time() {
                part.rest = Rest::Unread { from_line: this };
                return ControlFlow::Break(());
            }
            match self.letter(line, this) {
                Ok(Some(found)) => {
                    bytes += found.answer_bytes;
                    if part.letters.len() == self.most || (bytes > self.limits.page_bytes && !part.letters.is_empty()) {
                        part.rest = Rest::Unread { from_line: this };
                        return ControlFlow::Break(());
                    }
                    part.letters.push_back(found);
                }
                Ok(None) => {}
                Err(NoLetter) => part.skipped_lines += 1,
            }
            ControlFlow::Continue(())
        };
        self.objects.for_each_line(&key, EventForm::Lines, &mut visit).await?;
        part.key = key;
        Ok(part)
    }

    /// The letter of a line, if it is wanted. Empty lines are nothing at all.
    fn letter(&self, line: Line<'_>, number: u32) -> Result<Option<Found>, NoLetter> {
        let Line::Text(text) = line else { return Err(NoLetter) };
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(None);
        }
        let head: Head = serde_json::from_str(text).map_err(|_| NoLetter)?;
        if !self.wanted.takes(&head.id, head.time, &head.reason.code) {
            return Ok(None);
        }
        let letter = serde_json::from_str(text).map_err(|_| NoLetter)?;
        Ok(Some(Found { letter, answer_bytes: answer_bytes(text) + ADDED_BYTES, line: number }))
    }
}

/// A line that is no letter.
struct NoLetter;
