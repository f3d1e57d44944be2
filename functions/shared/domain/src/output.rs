//! Where a stream writes: its sinks, as the document declares them.

use serde::{Deserialize, Serialize};

use crate::ids::ResourceId;
use crate::record::SinkKind;

/// The sinks of a stream. What is not there, it does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// An `output` resource that says all of this; then nothing else stands here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceId>,
    /// Objects in the data bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Settings>,
}

impl Output {
    /// The settings of a sink, if the stream is to have it.
    pub fn settings(&self, kind: SinkKind) -> Option<&S3Settings> {
        match kind {
            SinkKind::S3 => self.s3.as_ref(),
        }
    }

    /// Wishes for a sink, or for none.
    pub fn set(&mut self, kind: SinkKind, settings: Option<S3Settings>) {
        match kind {
            SinkKind::S3 => self.s3 = settings,
        }
    }
}

/// How the S3 sink writes objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// How objects are compressed.
    pub compression: Compression,
    /// When an object is closed and written.
    pub buffering: Buffering,
}

/// How objects are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// gzip.
    #[default]
    Gzip,
    /// Plain text.
    None,
}

/// An object is written when it is this old or this large, whichever comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Buffering {
    /// Seconds, 0 to 900 (60 to 900 with `input.timestamp`); 60 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 900)]
    pub interval_seconds: Option<u32>,
    /// MiB, 1 to 128 (64 to 128 with `input.timestamp`); 5, or 64 with `input.timestamp`, by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 128)]
    pub size_mb: Option<u32>,
}

impl S3Settings {
    /// Names every value out of range. Limits: <https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html>;
    /// partitioning by event time needs 64 MiB (<https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning.html>).
    pub fn faults(&self, by_event_time: bool) -> Vec<(&'static str, String)> {
        let (least_seconds, least_mb) = if by_event_time { (60, 64) } else { (0, 1) };
        let mut faults = Vec::new();
        if let Some(got) = self.buffering.interval_seconds.filter(|got| !(least_seconds..=900).contains(got)) {
            faults.push(("/config/buffering/interval_seconds", format!("expected {least_seconds} to 900, got {got}")));
        }
        if let Some(got) = self.buffering.size_mb.filter(|got| !(least_mb..=128).contains(got)) {
            faults.push(("/config/buffering/size_mb", format!("expected {least_mb} to 128, got {got}")));
        }
        faults
    }

    /// Seconds after which an object is written.
    pub fn interval_seconds(&self) -> u32 {
        self.buffering.interval_seconds.unwrap_or(60)
    }

    /// MiB after which an object is written.
    pub fn size_mb(&self, by_event_time: bool) -> u32 {
        self.buffering.size_mb.unwrap_or(if by_event_time { 64 } else { 5 })
    }
}
