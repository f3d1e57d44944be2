//! The way of one event through the processors, which may fork and meet gates.

use std::collections::HashSet;

use super::gate::{Gate, KeyStore, Question};
use crate::dead_letter::Reason;

/// What the processors made of an event: all of it that they can tell without the world outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage<T> {
    /// The gates on its way, each after those before it.
    pub gates: Vec<Gate>,
    /// The ends of its way: one for each event that is left, and for each that failed.
    pub branches: Vec<Branch<T>>,
}

/// One end of an event's way.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch<T> {
    /// The last gate on the way to it. It counts only if that one is open.
    pub gate: Option<usize>,
    /// What is left of the event, or why it stopped.
    pub end: Result<T, Failure>,
}

/// What is left of an event behind the processors.
#[derive(Debug, Clone, PartialEq)]
pub enum Left {
    /// The event as it came.
    Unchanged,
    /// A JSON object.
    Json(String),
    /// A map in CBOR (RFC 8949).
    Cbor(Vec<u8>),
}

/// Why an event stopped, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// The place in the stream document, such as `pipeline.processors[0].mapping`; none when no processor is to blame.
    pub path: Option<String>,
}

impl Failure {
    /// One that no processor is to blame for.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { reason: Reason { code: code.to_owned(), detail: detail.into() }, path: None }
    }

    /// One of a processor.
    pub fn at(path: &str, code: &str, detail: impl Into<String>) -> Self {
        Self { path: Some(path.to_owned()), ..Self::new(code, detail) }
    }

    /// The reason in one line that names the place.
    pub fn summary(&self) -> Reason {
        let Self { reason: Reason { code, detail }, path } = self;
        let detail = path.as_ref().map_or_else(|| detail.clone(), |path| format!("{path}: {detail}"));
        Reason { code: code.clone(), detail }
    }
}

impl<T> Passage<T> {
    /// The way of an event that met no gate and has one end.
    pub fn straight(end: Result<T, Failure>) -> Self {
        Self { gates: Vec::new(), branches: vec![Branch { gate: None, end }] }
    }

    /// The gates on the way to some of its ends.
    pub(super) fn gates_before(&self, wanted: impl Fn(&Branch<T>) -> bool) -> HashSet<usize> {
        let mut found = HashSet::new();
        for branch in self.branches.iter().filter(|branch| wanted(branch)) {
            let mut at = branch.gate;
            while let Some(gate) = at.filter(|gate| found.insert(*gate)) {
                at = self.gates[gate].before;
            }
        }
        found
    }

    /// Whether the table has to be asked about it.
    pub(super) fn asks_the_table(&self) -> bool {
        self.gates.iter().any(|gate| matches!(gate.question, Question::Dedupe(_, KeyStore::Table)))
    }
}

impl Passage<Vec<u8>> {
    /// How many records are left, and how many bytes, if all gates are open.
    pub(super) fn left(&self) -> (usize, usize) {
        let records = self.branches.iter().filter_map(|branch| branch.end.as_ref().ok());
        records.fold((0, 0), |(count, bytes), record| (count + 1, bytes + record.len()))
    }
}
