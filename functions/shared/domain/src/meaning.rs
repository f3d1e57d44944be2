//! What a document must keep to that no schema can tell: rules between its fields.

use std::collections::BTreeSet;

use crate::document::{StreamDocument, StreamMode};
use crate::input::{Format, OnInvalid};
use crate::lint::{Fault, Weight};
use crate::names::partition_query;
use crate::pipeline::Processor;
use crate::text_tree::Node;

/// CloudFormation takes 50 tags a stack (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html>); ten are ours.
const MAX_LABELS: usize = 40;
/// A tag's longest key and value (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Tag.html>).
const MAX_LABEL_KEY: usize = 128;
const MAX_LABEL_VALUE: usize = 256;

/// A CloudFormation parameter's longest value (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>).
const MAX_PARTITION_QUERY: usize = 4_096;

/// Names everything that is wrong between the fields of a document whose shape is right enough to be read.
pub(crate) fn faults(tree: &Node, document: &StreamDocument) -> Vec<Fault> {
    let mut check = Check { tree, document, faults: Vec::new() };
    check.labels();
    check.resources_stand_alone();
    check.input();
    check.buffer();
    check.processors();
    check.output();
    if document.subscribable {
        check.fault(&["subscribable"], "subscribable is not available yet");
    }
    check.faults
}

struct Check<'c> {
    tree: &'c Node,
    document: &'c StreamDocument,
    faults: Vec<Fault>,
}

impl Check<'_> {
    /// A fault of the field at a path, or of what should have held it.
    fn fault(&mut self, path: &[&str], message: impl Into<String>) {
        self.faults.push(Fault { place: self.tree.nearest(path).place, message: message.into(), weight: Weight::Heavy });
    }

    fn labels(&mut self) {
        let labels = &self.document.metadata;
        if labels.len() > MAX_LABELS {
            self.fault(&["metadata"], format!("expected at most {MAX_LABELS} labels, got {}", labels.len()));
        }
        for (key, value) in labels {
            if let Some(fault) = label_fault(key, value) {
                self.fault(&["metadata", key], fault);
            }
        }
        let folded: BTreeSet<String> = labels.keys().map(|key| key.to_lowercase()).collect();
        if folded.len() < labels.len() {
            self.fault(&["metadata"], "expected keys that differ in more than their case");
        }
    }

    /// A resource that is a whole section leaves no room for more.
    fn resources_stand_alone(&mut self) {
        let sections = [("input", self.document.input.resource.is_some()), ("output", self.document.output.resource.is_some())];
        for (section, _) in sections.into_iter().filter(|(_, is_resource)| *is_resource) {
            let Some(tree) = self.tree.at(&[section]) else { continue };
            for member in tree.members().iter().filter(|member| member.name != "resource") {
                let message = format!("{section}.{} cannot stand beside {section}.resource, which is the whole section", member.name);
                self.faults.push(Fault { place: member.place, message, weight: Weight::Heavy });
            }
        }
    }

    fn input(&mut self) {
        let input = &self.document.input;
        let query = input.timestamp.as_ref().map_or(0, |path| partition_query(path, input.timestamp_format).len());
        if query > MAX_PARTITION_QUERY {
            self.fault(&["input", "timestamp"], "expected a shorter path: it does not fit a partition query");
        }
        if input.format == Format::Xml {
            self.xml();
        }
    }

    /// XML is first read behind the raw stream, and lies in S3 as CBOR. An `event_id` is still good for `dedupe`, which comes after that.
    fn xml(&mut self) {
        let input = &self.document.input;
        let unread = "events are not read before they are on the raw stream";
        let impossible = [
            ("timestamp", input.timestamp.is_some(), "timestamp", "Firehose cannot read CBOR to partition by it"),
            ("schema", input.schema.is_some(), "schema", "events are not read before they are on the raw stream; use validate"),
            ("partition_key", input.partition_key.is_some(), "partition_key", unread),
            ("on_invalid", input.on_invalid == OnInvalid::Reject, "on_invalid: reject", unread),
        ];
        for (field, _, what, why) in impossible.into_iter().filter(|(_, is_given, _, _)| *is_given) {
            self.fault(&["input", field], format!("expected no {what} with format xml: {why}"));
        }
    }

    fn buffer(&mut self) {
        let buffer = &self.document.buffer;
        if buffer.kinesis.mode == StreamMode::OnDemand && buffer.kinesis.shards.is_some() {
            self.fault(&["buffer", "kinesis", "shards"], "expected shards only with mode provisioned");
        }
        if buffer.raw {
            return;
        }
        if !self.document.pipeline.processors.is_empty() {
            self.fault(&["pipeline", "processors"], "buffer.raw: false leaves no place for a pipeline");
        }
        if self.document.input.format == Format::Xml {
            self.fault(&["input", "format"], "buffer.raw: false leaves no place for a pipeline, and xml needs one");
        }
    }

    fn processors(&mut self) {
        let input = &self.document.input;
        // A resource may say what names an event.
        let has_default_key = input.event_id.is_some() || input.resource.is_some();
        for (index, processor) in self.document.pipeline.processors.iter().enumerate() {
            if let Processor::Dedupe(dedupe) = processor
                && dedupe.key.is_none()
                && !has_default_key
            {
                let path = ["pipeline", "processors", &index.to_string(), "dedupe"];
                self.fault(&path, "expected a key, here or as input.event_id, got neither");
            }
        }
    }

    fn output(&mut self) {
        let Some(settings) = &self.document.output.s3 else { return };
        for (pointer, message) in settings.faults(self.document.input.timestamp.is_some()) {
            let setting = pointer.trim_start_matches("/config/").split('/');
            let path: Vec<&str> = ["output", "s3"].into_iter().chain(setting).collect();
            self.fault(&path, message);
        }
    }
}

/// Labels become tags, so they keep the rules of tags.
fn label_fault(key: &str, value: &str) -> Option<String> {
    let is_tag_text = |text: &str| text.chars().all(|letter| letter.is_alphanumeric() || " _.:/=+-@".contains(letter));
    let folded = key.to_lowercase();
    if !(1..=MAX_LABEL_KEY).contains(&key.chars().count()) || !(1..=MAX_LABEL_VALUE).contains(&value.chars().count()) {
        Some(format!("expected a label of 1 to {MAX_LABEL_KEY} characters with a value of 1 to {MAX_LABEL_VALUE}"))
    } else if folded.starts_with("aws:") || folded.starts_with("millrace:") || folded == "created_by" {
        Some("expected another label: created_by and those that start with aws: or millrace: are taken".to_owned())
    } else if !is_tag_text(key) || !is_tag_text(value) {
        Some("expected a label of letters, digits, spaces and _.:/=+-@ only, its value too".to_owned())
    } else {
        None
    }
}
