//! okdata's `create_raw`, another name for `buffer.raw`.

use crate::lint::{Fault, Weight};
use crate::text_tree::{Content, Member, Node};

const CREATE_RAW: &str = "create_raw";

/// Puts the `create_raw` of a document in the place of its `buffer.raw`. It keeps its place in the text.
///
/// Both are a fault, since one of them would have no effect.
pub(super) fn move_to_buffer(document: &mut Node) -> Option<Fault> {
    let has_raw = document.at(&["buffer", "raw"]).is_some();
    let Content::Map(members) = &mut document.content else { return None };
    // Of members that come twice the last one counts.
    let Member { place, value, .. } = members.extract_if(.., |member| member.name == CREATE_RAW).last()?;
    if has_raw {
        let message = format!("{CREATE_RAW} is another name for buffer.raw: expected one of them, got both");
        return Some(Fault { place, message, weight: Weight::Heavy });
    }
    let raw = Member { place, name: "raw".to_owned(), value };
    match members.iter_mut().rev().find(|member| member.name == "buffer").map(|member| &mut member.value.content) {
        Some(Content::Map(buffer)) => buffer.push(raw),
        // Whatever it is, it is a fault of its own.
        Some(_) => {}
        None => members.push(Member { place, name: "buffer".to_owned(), value: Node::new(place, Content::Map(vec![raw])) }),
    }
    None
}
