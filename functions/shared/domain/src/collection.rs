//! A whole set of streams, declared at once: what would have to be done so that these exist, as declared, and no others.

use std::collections::{BTreeMap, BTreeSet};

use crate::declaration::Declaration;
use crate::document::StreamDocument;
use crate::ids::{StreamId, StreamKey, Version};
use crate::lifecycle::Status;
use crate::record::StreamRecord;

/// Names a stream as lists do: by its id alone the newest version, by id and version any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamName {
    /// The id.
    pub id: StreamId,
    /// The version, if it is named.
    pub version: Option<Version>,
}

impl StreamName {
    /// Reads `id` or `id/version`.
    ///
    /// # Errors
    /// What the id or the version should have been.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (id, version) = match text.split_once('/') {
            Some((id, version)) => (id, Some(version)),
            None => (text, None),
        };
        let id: StreamId = id.parse().map_err(|error: crate::ids::InvalidId| error.to_string())?;
        let version = version.map(str::parse).transpose().map_err(|error: crate::ids::InvalidId| error.to_string())?;
        Ok(Self { id, version })
    }
}

/// What is to be done about one stream.
#[derive(Debug)]
pub enum Step {
    /// It is not there, and declared.
    Create(StreamKey, Box<Declaration>),
    /// It is there, and declared otherwise.
    Update(Box<StreamRecord>, Box<Declaration>),
    /// It is there, as it is declared.
    Keep(StreamKey),
    /// It is there, and not declared.
    Delete(Box<StreamRecord>),
}

impl Step {
    /// The stream.
    pub fn key(&self) -> &StreamKey {
        match self {
            Step::Create(key, _) | Step::Keep(key) => key,
            Step::Update(record, _) | Step::Delete(record) => &record.key,
        }
    }
}

/// Two names for one stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream {0} is declared twice")]
pub struct DeclaredTwice(pub StreamKey);

/// Compares what exists with what is declared. What is to be deleted comes last; what is being deleted already counts as gone
/// unless it is declared.
///
/// # Errors
/// Two declarations of one stream.
pub fn plan(
    existing: Vec<StreamRecord>,
    declared: Vec<(StreamName, Declaration)>,
    has_sinks_as_wanted: impl Fn(&StreamRecord, &StreamDocument) -> bool,
) -> Result<Vec<Step>, DeclaredTwice> {
    let mut newest: BTreeMap<StreamId, Version> = BTreeMap::new();
    for record in &existing {
        let version = newest.entry(record.key.id.clone()).or_insert_with(|| record.key.version.clone());
        if record.key.version > *version {
            *version = record.key.version.clone();
        }
    }
    let mut left: BTreeMap<StreamKey, StreamRecord> = existing.into_iter().map(|record| (record.key.clone(), record)).collect();
    let mut seen = BTreeSet::new();
    let mut steps = Vec::new();
    for (StreamName { id, version }, declaration) in declared {
        let version = version.or_else(|| newest.get(&id).cloned()).unwrap_or_else(Version::first);
        let key = StreamKey { id, version };
        if !seen.insert(key.clone()) {
            return Err(DeclaredTwice(key));
        }
        steps.push(match left.remove(&key) {
            None => Step::Create(key, Box::new(declaration)),
            Some(record) if record.is_declared_as(&declaration) && has_sinks_as_wanted(&record, &declaration.document) => Step::Keep(key),
            Some(record) => Step::Update(Box::new(record), Box::new(declaration)),
        });
    }
    let surplus = left.into_values().filter(|record| record.stack.status != Status::DeleteInProgress);
    steps.extend(surplus.map(|record| Step::Delete(Box::new(record))));
    Ok(steps)
}

impl StreamRecord {
    /// Returns whether a declaration would change nothing: it runs, or will when the stack is ready.
    fn is_declared_as(&self, declaration: &Declaration) -> bool {
        let (posted, document) = match &self.pending {
            Some(pending) => (&pending.posted, &pending.document),
            None => (&self.posted, &self.document),
        };
        let is_lost = matches!(self.stack.status, Status::DeleteInProgress | Status::OperationFailed);
        !is_lost && *posted == declaration.posted && *document == declaration.document
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration::Leniency;
    use crate::fakes::active_stream;

    const SAME: &str = r#"{"access_rights": "public", "input": {"timestamp": "$.time"}}"#;

    fn wanted(names: &[(&str, &str)]) -> Vec<(StreamName, Declaration)> {
        let wanted =
            names.iter().map(|(name, text)| (StreamName::parse(name).unwrap(), Declaration::parse(text, Leniency::Strict).unwrap()));
        wanted.collect()
    }

    fn shown(steps: &[Step]) -> Vec<String> {
        let verb = |step: &Step| match step {
            Step::Create(..) => "create",
            Step::Update(..) => "update",
            Step::Keep(_) => "keep",
            Step::Delete(_) => "delete",
        };
        steps.iter().map(|step| format!("{} {}", verb(step), step.key())).collect()
    }

    #[test]
    fn a_set_says_what_is_to_be_done_with_every_stream() {
        let existing = [("aaa", "1"), ("aaa", "2"), ("bbb", "1"), ("ccc", "1")].map(|(id, version)| active_stream(id, version, "waste"));
        let declared = wanted(&[("aaa", SAME), ("bbb/1", "name: b"), ("new", "{}"), ("new/3", "{}")]);
        let steps = plan(existing.into(), declared, |_, _| true).unwrap();
        assert_eq!(shown(&steps), ["keep aaa/2", "update bbb/1", "create new/1", "create new/3", "delete aaa/1", "delete ccc/1"]);
    }

    #[test]
    fn a_stream_has_one_declaration() {
        let twice = plan(vec![active_stream("aaa", "2", "waste")], wanted(&[("aaa", SAME), ("aaa/2", SAME)]), |_, _| true).unwrap_err();
        assert_eq!(twice.to_string(), "stream aaa/2 is declared twice");
        assert!(plan(Vec::new(), wanted(&[("aaa", SAME), ("aaa/1", SAME)]), |_, _| true).is_err());
    }

    #[test]
    fn what_goes_already_need_not_be_deleted_but_is_not_kept_either() {
        let mut going = active_stream("aaa", "1", "waste");
        going.stack.start_delete(going.created_at);
        assert!(plan(vec![going.clone()], Vec::new(), |_, _| true).unwrap().is_empty());
        assert_eq!(shown(&plan(vec![going], wanted(&[("aaa", SAME)]), |_, _| true).unwrap()), ["update aaa/1"]);
    }

    #[test]
    fn a_name_is_an_id_with_or_without_a_version() {
        assert_eq!(StreamName::parse("aaa/1.2").unwrap().version.unwrap().to_string(), "1.2");
        for bad in ["", "A", "aaa/", "aaa/x", "aaa/1/2", "/1"] {
            assert!(StreamName::parse(bad).is_err(), "{bad}");
        }
    }
}
