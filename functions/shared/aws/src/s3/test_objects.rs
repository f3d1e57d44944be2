//! Objects as tests make and read them.

use std::io::Write;
use std::ops::ControlFlow;

use domain::history::{EventForm, Line};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::content::{Content, Ending};

/// Stands for what cannot be read.
pub(super) const UNREADABLE: &str = "<unreadable>";

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Reads an object in chunks, up to so many events.
pub(super) fn read_some(form: EventForm, object: &[u8], chunk_size: usize, most: usize) -> (Vec<String>, Ending) {
    let mut lines = Vec::new();
    let mut visit = |line: Line<'_>| {
        lines.push(match line {
            Line::Text(text) => text.to_owned(),
            Line::Unreadable => UNREADABLE.to_owned(),
        });
        if lines.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut content = Content::new(form, &mut visit);
    for chunk in object.chunks(chunk_size) {
        content.push(chunk);
        if content.is_done() {
            break;
        }
    }
    let ending = content.finish();
    (lines, ending)
}
