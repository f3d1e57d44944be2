//! From bytes as they arrive to lines. Holds one line at most.

use std::io;
use std::mem;

use domain::history::Line;

use crate::s3::content::{Audience, MAX_PIECE_BYTES};

/// Cuts text into lines.
#[derive(Default)]
pub(super) struct LineCutter {
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
    /// Whether the line is too long already: its bytes are dropped up to its end.
    is_overlong: bool,
}

impl LineCutter {
    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8], audience: &mut Audience<'_>) -> io::Result<()> {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            self.complete(&rest[..at], audience)?;
            rest = &rest[at + 1..];
        }
        self.extend(rest);
        Ok(())
    }

    /// Ends a last line without a line feed.
    pub(super) fn end(&mut self, audience: &mut Audience<'_>) -> io::Result<()> {
        if self.partial.is_empty() && !self.is_overlong { Ok(()) } else { self.complete(&[], audience) }
    }

    /// What it holds in memory, in bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.partial.capacity()
    }

    /// Takes a part of a line.
    fn extend(&mut self, part: &[u8]) {
        if self.partial.len() + part.len() > MAX_PIECE_BYTES {
            self.is_overlong = true;
            self.partial = Vec::new();
        }
        if !self.is_overlong {
            self.partial.extend_from_slice(part);
        }
    }

    /// Takes the last part of a line.
    fn complete(&mut self, last: &[u8], audience: &mut Audience<'_>) -> io::Result<()> {
        // Most lines lie within one part: they are not copied.
        if self.partial.is_empty() && !self.is_overlong && last.len() <= MAX_PIECE_BYTES {
            return show(last, audience);
        }
        self.extend(last);
        let mut line = mem::take(&mut self.partial);
        let is_overlong = mem::take(&mut self.is_overlong);
        let shown = if is_overlong { audience.show(Line::Unreadable) } else { show(&line, audience) };
        line.clear();
        self.partial = line;
        shown
    }
}

fn show(line: &[u8], audience: &mut Audience<'_>) -> io::Result<()> {
    audience.show(std::str::from_utf8(line).map_or(Line::Unreadable, Line::Text))
}
