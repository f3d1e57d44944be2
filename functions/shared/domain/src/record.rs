//! What is stored of a stream: the document, who made it, and where its stacks stand.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::config::PendingConfig;
use crate::document::StreamDocument;
use crate::ids::{IngestId, Owner, StreamKey};
use crate::ingest::Entrance;
use crate::lifecycle::{Effect, Operation, Reconciled, ResourceFailure, StackNews, StackState, Status};
use crate::output::S3Settings;
use crate::process::{EventTime, Route};

/// A stream, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Its id and version.
    pub key: StreamKey,
    /// Whose it is.
    pub owner: Owner,
    /// Its opaque name for ingest.
    pub ingest_id: IngestId,
    /// What was declared, as it was posted.
    pub posted: serde_json::Value,
    /// What that means, with defaults.
    pub document: StreamDocument,
    /// What its stack is made with.
    pub resources: StreamResources,
    /// The number of this config.
    pub config_version: u32,
    /// The highest number that a config of this stream has had.
    pub last_config_version: u32,
    /// The config that will run when the stack's update is done. Only while one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingConfig>,
    /// Where its stack stands.
    pub stack: StackState,
    /// Its sinks that exist, by kind.
    pub sinks: BTreeMap<SinkKind, SinkRecord>,
    /// When it was made.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who made it.
    pub created_by: String,
    /// When it, or a sink of it, was last changed by a caller.
    #[serde(with = "rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Who changed it last.
    pub updated_by: String,
    /// Counts the writes; each is conditional on the one that was read.
    pub revision: u64,
}

/// The names of a stream's resources, fixed when it is made, and their sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamResources {
    /// The raw Kinesis stream. Without one there is no pipeline, and ingest writes to the processed stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_stream: Option<String>,
    /// The processed Kinesis stream.
    pub processed_stream: String,
    /// The delivery stream that takes dead letters.
    pub dead_letter_stream: String,
    /// Shards of each Kinesis stream.
    pub shards: u32,
    /// How long events stay readable, in hours.
    pub retention_hours: u32,
    /// Raw events wait in their stream until somebody resumes the pipeline.
    #[serde(default)]
    pub is_paused: bool,
}

/// A kind of sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    /// Objects in the data bucket.
    S3,
}

impl SinkKind {
    /// Every kind.
    pub const ALL: [Self; 1] = [Self::S3];

    /// The kind as text.
    pub fn as_str(self) -> &'static str {
        match self {
            SinkKind::S3 => "s3",
        }
    }
}

impl fmt::Display for SinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no kind of sink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a sink type of: s3; got {0:?}")]
pub struct UnknownSinkKind(String);

impl FromStr for SinkKind {
    type Err = UnknownSinkKind;

    /// Case does not matter, as in okdata.
    fn from_str(text: &str) -> Result<Self, UnknownSinkKind> {
        if text.eq_ignore_ascii_case("s3") { Ok(SinkKind::S3) } else { Err(UnknownSinkKind(text.chars().take(100).collect())) }
    }
}

/// A sink of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkRecord {
    /// How it writes.
    pub settings: S3Settings,
    /// How it will write when the update of its stack is done. Only while one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<S3Settings>,
    /// Where its stack stands.
    pub stack: StackState,
    /// When a caller last changed it.
    #[serde(with = "rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Who that was.
    pub updated_by: String,
}

/// A part of a stream that has a stack of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The stream itself.
    Stream,
    /// One of its sinks.
    Sink(SinkKind),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Stream => f.write_str("stream"),
            Part::Sink(kind) => write!(f, "sink {kind}"),
        }
    }
}

impl StreamRecord {
    /// Every part with its stack.
    pub fn parts(&self) -> impl Iterator<Item = (Part, &StackState)> {
        let sinks = self.sinks.iter().map(|(kind, sink)| (Part::Sink(*kind), &sink.stack));
        std::iter::once((Part::Stream, &self.stack)).chain(sinks)
    }

    /// The stack of one part, if the part exists.
    pub fn stack_of_mut(&mut self, part: Part) -> Option<&mut StackState> {
        match part {
            Part::Stream => Some(&mut self.stack),
            Part::Sink(kind) => self.sinks.get_mut(&kind).map(|sink| &mut sink.stack),
        }
    }

    /// How CloudFormation finds the stack of one part: by its id, or by its name as long as the id is not known.
    pub fn stack_address(&self, part: Part) -> &str {
        let stack = self.parts().find(|(other, _)| *other == part).map(|(_, stack)| stack);
        stack.map_or("", |stack| stack.stack_id.as_deref().unwrap_or(&stack.stack_name))
    }

    /// Takes news of one part's stack. When an update of it is over, what was pending runs or is dropped.
    pub fn observe(&mut self, part: Part, news: &StackNews) -> Effect {
        let effect = self.stack_of_mut(part).map_or(Effect::None, |stack| stack.observe(news));
        self.settle(part, effect);
        effect
    }

    /// Takes the news that a resource of one part's stack has failed.
    pub fn observe_resource_failure(&mut self, part: Part, failure: &ResourceFailure) -> Effect {
        self.stack_of_mut(part).map_or(Effect::None, |stack| stack.observe_resource_failure(failure))
    }

    /// Compares one part with what CloudFormation answers now (`None`: there is no such stack).
    pub fn reconcile(&mut self, part: Part, answer: Option<&StackNews>, now: OffsetDateTime) -> Reconciled {
        let Some(stack) = self.stack_of_mut(part) else { return Reconciled::Effect(Effect::None) };
        let reconciled = stack.reconcile(answer, now);
        if let Reconciled::Effect(effect) = reconciled {
            self.settle(part, effect);
        }
        reconciled
    }

    /// CloudFormation had nothing to do, or did it. With a reason, it would not.
    pub fn end_update(&mut self, part: Part, reason: Option<String>) {
        let effect = if reason.is_none() { Effect::Updated } else { Effect::Changed };
        if let Some(stack) = self.stack_of_mut(part) {
            stack.end_update(reason);
        }
        self.settle(part, effect);
    }

    /// CloudFormation would not do it, for a reason that will not pass.
    pub fn fail(&mut self, part: Part, reason: String, now: OffsetDateTime) {
        if let Some(stack) = self.stack_of_mut(part) {
            stack.fail(reason, now);
        }
        self.settle(part, Effect::Changed);
    }

    /// Returns whether nobody is to be asked about a part yet: a sink comes when its stream works, and a stream goes after its sinks.
    pub fn is_waiting(&self, part: Part) -> bool {
        match part {
            Part::Stream => self.stack.status == Status::DeleteInProgress && !self.sinks.is_empty(),
            Part::Sink(kind) => {
                let is_unasked = |sink: &SinkRecord| sink.stack.status == Status::CreateInProgress && sink.stack.stack_id.is_none();
                !self.stack.status.is_working() && self.sinks.get(&kind).is_some_and(is_unasked)
            }
        }
    }

    /// Draws from one part's end what it means for the rest.
    fn settle(&mut self, part: Part, effect: Effect) {
        match part {
            Part::Stream => self.settle_stream(effect),
            Part::Sink(kind) => self.settle_sink(kind, effect),
        }
    }

    fn settle_stream(&mut self, effect: Effect) {
        // Sinks that wait for a stream that will never be were never asked for.
        if self.stack.status == Status::OperationFailed && self.stack.operation != Operation::Delete {
            let waiting: Vec<SinkKind> = self.sinks.keys().copied().filter(|kind| self.is_waiting(Part::Sink(*kind))).collect();
            self.sinks.retain(|kind, _| !waiting.contains(kind));
        }
        let is_over = self.stack.status != Status::UpdateInProgress;
        let Some(pending) = self.pending.take_if(|_| is_over) else { return };
        if effect == Effect::Updated {
            self.adopt(pending);
        }
    }

    fn settle_sink(&mut self, kind: SinkKind, effect: Effect) {
        let Some(sink) = self.sinks.get_mut(&kind) else { return };
        let is_over = sink.stack.status != Status::UpdateInProgress;
        if let Some(wanted) = sink.wanted.take_if(|_| is_over)
            && effect == Effect::Updated
        {
            sink.settings = wanted;
        }
        if sink.stack.status == Status::OperationFailed && self.stack.status == Status::DeleteInProgress {
            let reason = sink.stack.reason.as_deref().unwrap_or("no reason given");
            let (reason, at) = (format!("sink {kind} could not be deleted: {reason}"), sink.stack.since);
            self.stack.fail(reason, at);
        }
    }

    /// Where ingest puts its events.
    pub fn entrance(&self) -> Entrance<'_> {
        match &self.resources.raw_stream {
            Some(raw_stream) => Entrance::Raw(raw_stream),
            None => Entrance::Processed(&self.resources.processed_stream),
        }
    }

    /// Where its raw events go, and what is done with them on the way.
    pub fn route(&self) -> Route {
        Route {
            processed_stream: self.resources.processed_stream.clone(),
            dead_letter_stream: self.resources.dead_letter_stream.clone(),
            stream: Some(self.key.clone()),
            ingest_id: Some(self.ingest_id.clone()),
            owner: Some(self.owner.clone()),
            format: self.document.input.format,
            event_id: self.document.input.event_id.clone(),
            processors: self.document.pipeline.processors.clone(),
            timestamp: self.event_time(),
        }
    }

    fn event_time(&self) -> Option<EventTime> {
        let input = &self.document.input;
        input.timestamp.clone().map(|path| EventTime { path, format: input.timestamp_format })
    }

    /// Returns whether some part of it has failed.
    pub fn is_faulty(&self) -> bool {
        self.parts().any(|(_, stack)| stack.status == Status::OperationFailed)
    }

    /// Returns whether sinks partition by the events' own time.
    pub fn is_partitioned_by_event_time(&self) -> bool {
        self.document.input.timestamp.is_some()
    }
}

/// Times in JSON as RFC 3339 text.
pub mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    /// Writes a time.
    pub fn serialize<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::rfc3339_text(*at))
    }

    /// Reads a time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)
    }
}

/// Writes a time as RFC 3339 text in UTC.
pub fn rfc3339_text(at: OffsetDateTime) -> String {
    let utc = at.to_offset(time::UtcOffset::UTC);
    // Only years beyond 9999 cannot be written, and no clock gives one.
    utc.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}
