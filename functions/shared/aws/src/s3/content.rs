//! The bytes of an object as they arrive, compressed or not, and how it ends.

use std::io::{self, Write};
use std::mem;
use std::ops::ControlFlow;

use domain::history::{EventForm, Line, Visitor};
use domain::limits::MAX_RECORD_BYTES;
use flate2::write::MultiGzDecoder;

use crate::s3::items::ItemCutter;
use crate::s3::lines::LineCutter;

/// The longest event: a Kinesis record, with room to spare.
pub(super) const MAX_PIECE_BYTES: usize = 2 * MAX_RECORD_BYTES;

/// The largest object, decompressed: Firehose buffers at most 128 MiB. What is beyond was made to do harm.
const MAX_OBJECT_BYTES: usize = 256 * 1024 * 1024;

/// The first two bytes of gzip (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How an object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// All of it was read.
    Whole,
    /// The visitor wanted no more.
    EnoughSeen,
    /// What came after the lines seen cannot be read; says why.
    Damaged(&'static str),
}

/// The content of one object, compressed or not: an object's name and headers need not tell.
pub(super) struct Content<'v> {
    form: Form<'v>,
    ending: Option<Ending>,
}

enum Form<'v> {
    /// Fewer than two bytes so far.
    Unknown(Vec<u8>, Cutter<'v>),
    Plain(Cutter<'v>),
    Gzip(Box<MultiGzDecoder<Cutter<'v>>>),
    /// Given up.
    Nothing,
}

impl<'v> Content<'v> {
    pub(super) fn new(form: EventForm, visit: &'v mut Visitor<'v>) -> Self {
        Self { form: Form::Unknown(Vec::new(), Cutter::new(form, visit, MAX_OBJECT_BYTES)), ending: None }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let written = match &mut self.form {
            Form::Plain(cutter) => cutter.write_all(bytes),
            Form::Gzip(decoder) => decoder.write_all(bytes),
            Form::Unknown(..) => return self.sniff(bytes),
            Form::Nothing => return,
        };
        if written.is_err() {
            self.give_up();
        }
    }

    /// Returns whether further bytes would change nothing.
    pub(super) fn is_done(&self) -> bool {
        self.ending.is_some()
    }

    /// Ends the last event and says how the object ended.
    pub(super) fn finish(mut self) -> Ending {
        if let Form::Unknown(..) = self.form {
            self.decide();
        }
        let finished = match &mut self.form {
            Form::Gzip(decoder) => decoder.try_finish().and_then(|()| decoder.get_mut().end()),
            Form::Plain(cutter) => cutter.end(),
            Form::Unknown(..) | Form::Nothing => Ok(()),
        };
        if finished.is_err() {
            self.give_up();
        }
        self.ending.unwrap_or(Ending::Whole)
    }

    fn sniff(&mut self, bytes: &[u8]) {
        if let Form::Unknown(head, _) = &mut self.form {
            head.extend_from_slice(bytes);
            if head.len() >= GZIP_MAGIC.len() {
                self.decide();
            }
        }
    }

    fn decide(&mut self) {
        if let Form::Unknown(head, cutter) = mem::replace(&mut self.form, Form::Nothing) {
            let is_gzip = head.starts_with(&GZIP_MAGIC);
            self.form = if is_gzip { Form::Gzip(Box::new(MultiGzDecoder::new(cutter))) } else { Form::Plain(cutter) };
            self.push(&head);
        }
    }

    /// The cutter knows why it refused to go on; when it did not, the compression is at fault.
    fn give_up(&mut self) {
        let mut form = mem::replace(&mut self.form, Form::Nothing);
        let cutter = match &mut form {
            Form::Plain(cutter) => cutter,
            Form::Gzip(decoder) => decoder.get_mut(),
            Form::Unknown(..) | Form::Nothing => return,
        };
        let ending = cutter.audience.refused.unwrap_or(Ending::Damaged("its compression is broken"));
        if matches!(ending, Ending::Damaged(_)) {
            cutter.audience.report_damage();
        }
        self.ending = Some(ending);
    }
}

/// Cuts what is decompressed into events.
struct Cutter<'v> {
    audience: Audience<'v>,
    pieces: Pieces,
    bytes_left: usize,
}

enum Pieces {
    Lines(LineCutter),
    Items(ItemCutter),
}

impl<'v> Cutter<'v> {
    fn new(form: EventForm, visit: &'v mut Visitor<'v>, max_bytes: usize) -> Self {
        let pieces = match form {
            EventForm::Lines => Pieces::Lines(LineCutter::default()),
            EventForm::Cbor => Pieces::Items(ItemCutter::default()),
        };
        Self { audience: Audience::new(visit), pieces, bytes_left: max_bytes }
    }

    /// Ends a last event that nothing ends.
    fn end(&mut self) -> io::Result<()> {
        match &mut self.pieces {
            Pieces::Lines(lines) => lines.end(&mut self.audience),
            Pieces::Items(items) => items.end(&mut self.audience),
        }
    }
}

impl Write for Cutter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A decoder that is dropped writes once more.
        if self.audience.refused.is_some() {
            return Err(io::ErrorKind::Other.into());
        }
        self.bytes_left = match self.bytes_left.checked_sub(bytes.len()) {
            Some(left) => left,
            None => return self.audience.refuse(Ending::Damaged("it is too large")).map(|()| 0),
        };
        match &mut self.pieces {
            Pieces::Lines(lines) => lines.take(bytes, &mut self.audience)?,
            Pieces::Items(items) => items.take(bytes, &mut self.audience)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The visitor, and whether it is to see more.
pub(super) struct Audience<'v> {
    visit: &'v mut Visitor<'v>,
    refused: Option<Ending>,
}

impl<'v> Audience<'v> {
    pub(super) fn new(visit: &'v mut Visitor<'v>) -> Self {
        Self { visit, refused: None }
    }

    /// Shows one event.
    pub(super) fn show(&mut self, line: Line<'_>) -> io::Result<()> {
        match (self.visit)(line) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => self.refuse(Ending::EnoughSeen),
        }
    }

    /// Takes no more, for this reason.
    pub(super) fn refuse(&mut self, ending: Ending) -> io::Result<()> {
        self.refused = Some(ending);
        Err(io::ErrorKind::Other.into())
    }

    fn report_damage(&mut self) {
        // Whatever the visitor answers, there is no more to see.
        let _ = (self.visit)(Line::Unreadable);
        self.refused = Some(Ending::EnoughSeen);
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
