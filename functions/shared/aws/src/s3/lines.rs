//! From the bytes of an object, as they arrive, to its lines. Holds one line at most, whatever the object.

use std::io::{self, Write};
use std::mem;
use std::ops::ControlFlow;

use domain::history::{Line, Visitor};
use domain::limits::MAX_RECORD_BYTES;
use flate2::write::MultiGzDecoder;

/// The longest line that can be an event: a Kinesis record, with room to spare.
const MAX_LINE_BYTES: usize = 2 * MAX_RECORD_BYTES;

/// The largest object, decompressed: Firehose writes at most 128 MiB. What is beyond was made to do harm.
const MAX_OBJECT_BYTES: usize = 1024 * 1024 * 1024;

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
    Unknown(Vec<u8>, LineCutter<'v>),
    Plain(LineCutter<'v>),
    Gzip(Box<MultiGzDecoder<LineCutter<'v>>>),
    /// Given up.
    Nothing,
}

impl<'v> Content<'v> {
    pub(super) fn new(visit: &'v mut Visitor<'v>) -> Self {
        Self { form: Form::Unknown(Vec::new(), LineCutter::new(visit, MAX_OBJECT_BYTES)), ending: None }
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

    /// Ends the last line and says how the object ended.
    pub(super) fn finish(mut self) -> Ending {
        if let Form::Unknown(..) = self.form {
            self.decide();
        }
        let finished = match &mut self.form {
            Form::Gzip(decoder) => decoder.try_finish().and_then(|()| decoder.get_mut().end_line()),
            Form::Plain(cutter) => cutter.end_line(),
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
        let ending = cutter.refused.unwrap_or(Ending::Damaged("its compression is broken"));
        if matches!(ending, Ending::Damaged(_)) {
            cutter.report_damage();
        }
        self.ending = Some(ending);
    }
}

/// Cuts text into lines.
struct LineCutter<'v> {
    visit: &'v mut Visitor<'v>,
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
    /// Whether the line is too long already: its bytes are dropped up to its end.
    is_overlong: bool,
    bytes_left: usize,
    refused: Option<Ending>,
}

impl<'v> LineCutter<'v> {
    fn new(visit: &'v mut Visitor<'v>, max_bytes: usize) -> Self {
        Self { visit, partial: Vec::new(), is_overlong: false, bytes_left: max_bytes, refused: None }
    }

    /// Takes a part of a line.
    fn extend(&mut self, part: &[u8]) {
        if self.partial.len() + part.len() > MAX_LINE_BYTES {
            self.is_overlong = true;
            self.partial = Vec::new();
        }
        if !self.is_overlong {
            self.partial.extend_from_slice(part);
        }
    }

    /// Takes the last part of a line.
    fn complete(&mut self, last: &[u8]) -> io::Result<()> {
        // Most lines lie within one part: they are not copied.
        if self.partial.is_empty() && !self.is_overlong && last.len() <= MAX_LINE_BYTES {
            return self.show(last);
        }
        self.extend(last);
        let mut line = mem::take(&mut self.partial);
        let is_overlong = mem::take(&mut self.is_overlong);
        let shown = if is_overlong { self.visited(Line::Unreadable) } else { self.show(&line) };
        line.clear();
        self.partial = line;
        shown
    }

    /// Ends a last line without a line feed.
    fn end_line(&mut self) -> io::Result<()> {
        if self.partial.is_empty() && !self.is_overlong { Ok(()) } else { self.complete(&[]) }
    }

    fn show(&mut self, line: &[u8]) -> io::Result<()> {
        self.visited(std::str::from_utf8(line).map_or(Line::Unreadable, Line::Text))
    }

    fn visited(&mut self, line: Line<'_>) -> io::Result<()> {
        match (self.visit)(line) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => self.refuse(Ending::EnoughSeen),
        }
    }

    fn report_damage(&mut self) {
        // Whatever the visitor answers, there is no more to see.
        let _ = (self.visit)(Line::Unreadable);
        self.refused = Some(Ending::EnoughSeen);
    }

    fn refuse(&mut self, ending: Ending) -> io::Result<()> {
        self.refused = Some(ending);
        Err(io::ErrorKind::Other.into())
    }
}

impl Write for LineCutter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A decoder that is dropped writes once more.
        if self.refused.is_some() {
            return Err(io::ErrorKind::Other.into());
        }
        self.bytes_left = match self.bytes_left.checked_sub(bytes.len()) {
            Some(left) => left,
            None => return self.refuse(Ending::Damaged("it is too large")).map(|()| 0),
        };
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            self.complete(&rest[..at])?;
            rest = &rest[at + 1..];
        }
        self.extend(rest);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
