//! What CloudFormation is asked for: name, parameters and tags of a part's stack.

use crate::document::StreamMode;
use crate::lifecycle::Operation;
use crate::names::{Naming, partition_query};
use crate::output::Compression;
use crate::record::{Part, SinkKind, StreamRecord};

/// What the deployment gives every stack.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// How things are named.
    pub naming: Naming,
    /// The data bucket.
    pub data_bucket: String,
    /// Processes raw streams.
    pub process_function_arn: String,
    /// Bounds every role in a stack.
    pub permissions_boundary_arn: String,
    /// Shards when the document does not say.
    pub default_shards: u32,
    /// Retention when the document does not say, in hours.
    pub default_retention_hours: u32,
}

/// A stack to be created or updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackRequest {
    /// Which template.
    pub part: Part,
    /// The stack's name.
    pub name: String,
    /// Makes the request idempotent, and names it in CloudFormation's events.
    pub token: String,
    /// Every parameter that the template declares.
    pub parameters: Vec<(&'static str, String)>,
    /// Say whose the stack is.
    pub tags: Vec<(String, String)>,
}

impl StackRequest {
    /// The stack of one part of a stream.
    pub fn new(record: &StreamRecord, part: Part, deployment: &Deployment) -> Self {
        let stack = record.parts().find(|(other, _)| *other == part).map(|(_, stack)| stack);
        let name = stack.map(|stack| stack.stack_name.clone()).unwrap_or_default();
        let update = stack.filter(|stack| stack.operation == Operation::Update).and_then(|stack| stack.update.as_ref());
        let token = update.map_or_else(|| name.clone(), |update| update.token.clone());
        let parameters = match part {
            Part::Stream => stream_parameters(record, deployment),
            Part::Sink(SinkKind::S3) => s3_parameters(record, deployment),
        };
        Self { part, name, token, parameters, tags: tags(record, part) }
    }

    /// Returns whether both ask for the same stack, so that CloudFormation has nothing to do between them.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.parameters == other.parameters && self.tags == other.tags
    }
}

/// The parameters of `infra/stacks/stream.yaml`.
fn stream_parameters(record: &StreamRecord, deployment: &Deployment) -> Vec<(&'static str, String)> {
    let mode = match record.document.buffer.kinesis.mode {
        StreamMode::Provisioned => "PROVISIONED",
        StreamMode::OnDemand => "ON_DEMAND",
    };
    vec![
        ("StreamId", record.key.id.to_string()),
        ("StreamVersion", record.key.version.to_string()),
        ("RawStreamName", record.resources.raw_stream.clone().unwrap_or_default()),
        ("ProcessedStreamName", record.resources.processed_stream.clone()),
        ("StreamMode", mode.to_owned()),
        ("ShardCount", record.resources.shards.to_string()),
        ("RetentionHours", record.resources.retention_hours.to_string()),
        ("MaximumRecordAgeSeconds", maximum_record_age(record.resources.retention_hours).to_string()),
        ("PipelineState", if record.resources.is_paused { "PAUSED" } else { "RUNNING" }.to_owned()),
        ("ProcessFunctionArn", deployment.process_function_arn.clone()),
        ("DataBucket", deployment.data_bucket.clone()),
        ("DeadLetterStreamName", record.resources.dead_letter_stream.clone()),
        ("PermissionsBoundaryArn", deployment.permissions_boundary_arn.clone()),
    ]
}

/// Nearly as long as events are kept, so that few are given up during a pause, and those go to the failure destination before they
/// expire; Lambda takes 7 days at most (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>).
fn maximum_record_age(retention_hours: u32) -> u32 {
    (retention_hours.saturating_sub(1).max(1) * 3_600).min(604_800)
}

/// The parameters of `infra/stacks/sink-s3.yaml`.
fn s3_parameters(record: &StreamRecord, deployment: &Deployment) -> Vec<(&'static str, String)> {
    let sink = record.sinks.get(&SinkKind::S3);
    let settings = sink.map(|sink| sink.wanted.as_ref().unwrap_or(&sink.settings).clone()).unwrap_or_default();
    let input = &record.document.input;
    let query = input.timestamp.as_ref().map(|path| partition_query(path, input.timestamp_format)).unwrap_or_default();
    let compression = match settings.compression {
        Compression::Gzip => "GZIP",
        Compression::None => "UNCOMPRESSED",
    };
    let confidentiality = record.document.access_rights.confidentiality();
    vec![
        ("StreamId", record.key.id.to_string()),
        ("StreamVersion", record.key.version.to_string()),
        ("Confidentiality", confidentiality.as_str().to_owned()),
        ("ProcessedStreamName", record.resources.processed_stream.clone()),
        ("DataBucket", deployment.data_bucket.clone()),
        ("DeliveryStreamName", deployment.naming.delivery_stream("sink-s3", &record.key)),
        ("PermissionsBoundaryArn", deployment.permissions_boundary_arn.clone()),
        ("Compression", compression.to_owned()),
        ("IntervalSeconds", settings.interval_seconds().to_string()),
        ("SizeMb", settings.size_mb(record.is_partitioned_by_event_time()).to_string()),
        ("PartitionQuery", query),
    ]
}

fn tags(record: &StreamRecord, part: Part) -> Vec<(String, String)> {
    let ours = [
        ("millrace:stream-id", record.key.id.to_string()),
        ("millrace:stream-version", record.key.version.to_string()),
        ("millrace:owner", record.owner.to_string()),
        ("millrace:part", part.to_string()),
        ("created_by", tag_text(&record.created_by)),
    ];
    let labels = record.document.metadata.iter().map(|(key, value)| (key.clone(), value.clone()));
    ours.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(labels).collect()
}

/// A subject as a tag can hold it.
fn tag_text(text: &str) -> String {
    text.chars().map(|letter| if letter.is_alphanumeric() || " _.:/=+-@".contains(letter) { letter } else { '_' }).take(256).collect()
}
