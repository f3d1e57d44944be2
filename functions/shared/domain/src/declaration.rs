//! From the text of a stream document, JSON or YAML, to what it means, or to everything that is wrong with it.

mod create_raw;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::document::StreamDocument;
use crate::lint::{Fault, Linter, MAX_FAULTS, Weight, repeated_fields};
use crate::meaning;
use crate::resource::ResourceKey;
use crate::resource_config::ResourceConfig;
use crate::schema::schema_of;
use crate::text_tree::{BadText, Content, Node, Place};

/// A stream document as it was posted, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// As posted, without defaults.
    pub posted: Value,
    /// What it means, with defaults.
    pub document: StreamDocument,
}

/// What is done about lint errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leniency {
    /// They are errors.
    Strict,
    /// They pass, except for those that make the stream impossible (`?chilled=true`).
    Chilled,
}

static LINTER: LazyLock<Linter> = LazyLock::new(|| Linter::new(schema_of_documents()));

/// The JSON Schema (2020-12) of stream documents, made from their types.
pub fn stream_schema() -> &'static Value {
    LINTER.schema()
}

/// Sections of `output` that are known and cannot be declared yet.
const NOT_AVAILABLE: [&str; 3] = ["elasticsearch", "table", "http"];

fn schema_of_documents() -> Value {
    let mut schema = schema_of::<StreamDocument>("Millrace stream document");
    for section in NOT_AVAILABLE {
        schema["$defs"]["Output"]["properties"][section] =
            json!({"not": {}, "description": format!("output.{section} is not available yet")});
    }
    schema
}

/// A stream document that was read and is being checked.
#[derive(Debug)]
pub struct Draft {
    tree: Node,
    document: Option<StreamDocument>,
    leniency: Leniency,
    faults: Vec<Fault>,
}

impl Draft {
    /// Reads a document from text; an empty text is `{}`. Its shape and the rules between its fields are checked.
    pub fn parse(text: &str, leniency: Leniency) -> Self {
        match Node::parse(text) {
            Ok(tree) => Self::read(tree, leniency),
            Err(bad) => Self::illegible(bad, leniency),
        }
    }

    /// Reads a document from another, as it was posted, and the text of a patch: maps are merged member by member, `null` resets a
    /// field to its default, everything else is replaced.
    ///
    /// Places are those of the patch; what was there before stands at its beginning.
    pub fn patch(posted: &Value, text: &str, leniency: Leniency) -> Self {
        match Node::parse(text) {
            Ok(patch) => {
                // Merging leaves one of each.
                let repeated = repeated_fields(&patch);
                let mut tree = Node::from_value(posted.clone(), patch.place);
                tree.merge(patch);
                let mut draft = Self::read(tree, leniency);
                draft.add(repeated);
                draft
            }
            Err(bad) => Self::illegible(bad, leniency),
        }
    }

    /// Reads the document of a new stream as [`Draft::parse`] does, where okdata's clients may say `create_raw` for `buffer.raw`.
    pub fn parse_new(text: &str, leniency: Leniency) -> Self {
        match Node::parse(text) {
            Ok(mut tree) => {
                // Moving leaves one of each.
                let mut faults = repeated_fields(&tree);
                faults.extend(create_raw::move_to_buffer(&mut tree));
                let mut draft = Self::read(tree, leniency);
                draft.add(faults);
                draft
            }
            Err(bad) => Self::illegible(bad, leniency),
        }
    }

    fn illegible(bad: BadText, leniency: Leniency) -> Self {
        let BadText { place, message } = bad;
        let tree = Node::new(place, Content::Map(Vec::new()));
        Self { tree, document: None, leniency, faults: vec![Fault { place, message, weight: Weight::Heavy }] }
    }

    /// Checks a document that was read as a part of another text.
    pub fn read(tree: Node, leniency: Leniency) -> Self {
        let mut faults = LINTER.faults(&tree);
        let document = serde_json::from_value::<StreamDocument>(LINTER.known_part(&tree));
        match &document {
            Ok(document) => {
                // What its shape already has wrong is not said twice.
                let known: BTreeSet<Place> = faults.iter().filter(|fault| fault.weight == Weight::Heavy).map(|fault| fault.place).collect();
                faults.extend(meaning::faults(&tree, document).into_iter().filter(|fault| !known.contains(&fault.place)));
            }
            Err(error) if faults.iter().all(|fault| fault.weight == Weight::Light) => {
                faults.push(Fault { place: tree.place, message: error.to_string(), weight: Weight::Heavy });
            }
            // What is wrong in its shape says nothing certain about its meaning.
            Err(_) => {}
        }
        let mut draft = Self { tree, document: document.ok(), leniency, faults: Vec::new() };
        draft.add(faults);
        draft
    }

    /// The document as it was written, with the place of everything in it. One that cannot be read is empty.
    pub fn tree(&self) -> &Node {
        &self.tree
    }

    /// What the document means, unless its shape is too wrong to say.
    pub fn document(&self) -> Option<&StreamDocument> {
        self.document.as_ref()
    }

    /// Puts sections that are resources in the places of their names, and checks the rules between fields anew.
    pub fn resolve(&mut self, resources: &BTreeMap<ResourceKey, ResourceConfig>) {
        let Some(document) = &mut self.document else { return };
        document.resolve(resources);
        let faults = meaning::faults(&self.tree, document);
        self.add(faults);
    }

    /// Adds what another check has found.
    pub fn add(&mut self, faults: Vec<Fault>) {
        let is_strict = self.leniency == Leniency::Strict;
        self.faults.extend(faults.into_iter().filter(|fault| is_strict || fault.weight == Weight::Heavy));
    }

    /// Gives the declaration, if nothing is wrong with it.
    ///
    /// # Errors
    /// Every fault found, each as `(line,column) what is wrong`, in the order of the text.
    pub fn finish(mut self) -> Result<Declaration, Vec<String>> {
        match self.document {
            Some(document) if self.faults.is_empty() => Ok(Declaration { posted: self.tree.value(), document }),
            _ => {
                self.faults.sort_by_key(|fault| fault.place);
                let mut faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
                faults.dedup();
                faults.truncate(MAX_FAULTS);
                Err(faults)
            }
        }
    }
}

impl Declaration {
    /// Reads a document from text and makes the checks of this crate alone.
    ///
    /// # Errors
    /// As for [`Draft::finish`].
    pub fn parse(text: &str, leniency: Leniency) -> Result<Self, Vec<String>> {
        Draft::parse(text, leniency).finish()
    }
}

#[cfg(test)]
mod tests;
