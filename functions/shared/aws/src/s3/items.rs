//! From bytes as they arrive to the items of a CBOR sequence (RFC 8742), each shown as one line of JSON. Holds one item at most.

use std::io;
use std::mem;

use ciborium_ll::{Decoder, Error, Header};
use domain::history::Line;
use domain::limits::MAX_JSON_DEPTH;

use crate::s3::cbor_json::json_of;
use crate::s3::content::{Audience, Ending, MAX_PIECE_BYTES};

/// Items within each other, tags included. Ours: twice what an event may nest.
const MAX_OPEN: usize = 2 * MAX_JSON_DEPTH;

/// Cuts a sequence into items.
#[derive(Default)]
pub(super) struct ItemCutter {
    /// The bytes of an item that has not ended yet; of one that is too long, those that are not looked at yet.
    kept: Vec<u8>,
    /// How many of them are looked at.
    seen: usize,
    /// The containers that are open in it.
    open: Vec<Open>,
    /// What is left of the content of a string, or nothing of another item that ends here.
    content_left: Option<usize>,
    /// Whether the item is too long already: its bytes are dropped up to its end.
    is_overlong: bool,
}

/// What is still to come in a container.
enum Open {
    /// So many items.
    Items(usize),
    /// Items up to a break.
    ItemsToBreak,
    /// Pieces of one string up to a break.
    PiecesToBreak,
}

/// How far a look at what is kept leads.
enum Look {
    /// To the end of the item.
    Ended,
    /// To the end of what is kept.
    Unfinished,
    /// To something that is no CBOR.
    Broken,
}

impl ItemCutter {
    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8], audience: &mut Audience<'_>) -> io::Result<()> {
        self.kept.extend_from_slice(bytes);
        let mut start = 0;
        loop {
            match self.look() {
                Look::Ended => {
                    self.show(start, audience)?;
                    start = self.seen;
                }
                Look::Unfinished => break,
                Look::Broken => return audience.refuse(Ending::Damaged("it is no sequence of CBOR items")),
            }
        }
        self.is_overlong |= self.kept.len() - start > MAX_PIECE_BYTES;
        let done = if self.is_overlong { self.seen } else { start };
        self.kept.drain(..done);
        self.seen -= done;
        Ok(())
    }

    /// Refuses an item that has begun and has no end.
    pub(super) fn end(&mut self, audience: &mut Audience<'_>) -> io::Result<()> {
        let is_between_items = self.kept.is_empty() && self.open.is_empty() && self.content_left.is_none();
        if is_between_items { Ok(()) } else { audience.refuse(Ending::Damaged("its last CBOR item has no end")) }
    }

    /// What it holds in memory, in bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.kept.capacity()
    }

    fn show(&mut self, start: usize, audience: &mut Audience<'_>) -> io::Result<()> {
        let item = &self.kept[start..self.seen];
        let is_overlong = mem::take(&mut self.is_overlong) || item.len() > MAX_PIECE_BYTES;
        let json = if is_overlong { None } else { json_of(item) };
        audience.show(json.as_deref().map_or(Line::Unreadable, Line::Text))
    }

    /// Goes on to the end of the item, as far as there are bytes.
    fn look(&mut self) -> Look {
        loop {
            if let Some(left) = self.content_left {
                let passed = left.min(self.kept.len() - self.seen);
                self.seen += passed;
                self.content_left = Some(left - passed);
                if passed < left {
                    return Look::Unfinished;
                }
                self.content_left = None;
                if self.is_end_of_all() {
                    return Look::Ended;
                }
            }
            let mut decoder = Decoder::from(&self.kept[self.seen..]);
            match decoder.pull() {
                Ok(header) => {
                    self.seen += decoder.offset();
                    if !self.enter(header) {
                        return Look::Broken;
                    }
                }
                Err(Error::Io(_)) => return Look::Unfinished,
                Err(Error::Syntax(_)) => return Look::Broken,
            }
        }
    }

    /// Takes the head of an item; returns whether it can stand where it does.
    fn enter(&mut self, header: Header) -> bool {
        if matches!(self.open.last(), Some(Open::PiecesToBreak))
            && !matches!(header, Header::Bytes(Some(_)) | Header::Text(Some(_)) | Header::Break)
        {
            return false;
        }
        let opened = match header {
            Header::Positive(_) | Header::Negative(_) | Header::Float(_) | Header::Simple(_) => None,
            Header::Bytes(Some(length)) | Header::Text(Some(length)) => {
                self.content_left = Some(length);
                return true;
            }
            Header::Bytes(None) | Header::Text(None) => Some(Open::PiecesToBreak),
            Header::Array(None) | Header::Map(None) => Some(Open::ItemsToBreak),
            Header::Array(Some(0)) | Header::Map(Some(0)) => None,
            Header::Array(Some(count)) => Some(Open::Items(count)),
            // No object is as long as that.
            Header::Map(Some(count)) => Some(Open::Items(count.saturating_mul(2))),
            Header::Tag(_) => Some(Open::Items(1)),
            Header::Break => match self.open.pop() {
                Some(Open::ItemsToBreak | Open::PiecesToBreak) => None,
                Some(Open::Items(_)) | None => return false,
            },
        };
        match opened {
            Some(container) => self.open.push(container),
            None => self.content_left = Some(0),
        }
        self.open.len() <= MAX_OPEN
    }

    /// Ends an item, and with it the containers of which it was the last. Returns whether nothing is open any more.
    fn is_end_of_all(&mut self) -> bool {
        while let Some(innermost) = self.open.last_mut() {
            match innermost {
                Open::Items(left) if *left > 1 => {
                    *left -= 1;
                    return false;
                }
                Open::Items(_) => self.open.pop(),
                Open::ItemsToBreak | Open::PiecesToBreak => return false,
            };
        }
        true
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
