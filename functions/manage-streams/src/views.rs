//! What callers send and see. Records never leave as they are.

use domain::collection::Step;
use domain::config::{ConfigSummary, PendingConfig};
use domain::document::{AccessRights, Confidentiality, StreamDocument};
use domain::lifecycle::Status;
use domain::output::S3Settings;
use domain::record::{SinkKind, SinkRecord, StreamRecord, rfc3339_text};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Everything that is wrong with a document, in Bento's shape.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LintingErrors {
    /// Each with its line and column, or its field.
    pub linting_errors: Vec<String>,
}

/// What setting the whole collection does, by `id/version`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SetOut {
    created: Vec<String>,
    updated: Vec<String>,
    /// They are as declared.
    unchanged: Vec<String>,
    deleted: Vec<String>,
    /// Nothing was done.
    dry_run: bool,
}

impl SetOut {
    /// The plan, as it is shown.
    pub fn new(steps: &[Step], dry_run: bool) -> Self {
        let mut out = Self { created: Vec::new(), updated: Vec::new(), unchanged: Vec::new(), deleted: Vec::new(), dry_run };
        for step in steps {
            let list = match step {
                Step::Create(..) => &mut out.created,
                Step::Update(..) => &mut out.updated,
                Step::Keep(_) => &mut out.unchanged,
                Step::Delete(_) => &mut out.deleted,
            };
            list.push(step.key().to_string());
        }
        out
    }
}

/// A stream in the list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StreamSummary {
    version: String,
    status: Status,
    active: bool,
    /// Seconds since it became active.
    uptime: f64,
    uptime_str: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// A stream, whole.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StreamOut {
    id: String,
    version: String,
    owner: String,
    status: Status,
    /// Why the last operation failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    active: bool,
    /// Raw events wait: the pipeline is paused.
    paused: bool,
    /// Seconds since it became active.
    uptime: f64,
    uptime_str: String,
    ingest_id: String,
    access_rights: AccessRights,
    confidentiality: Confidentiality,
    /// Only of a stream that has one: see `buffer.raw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_stream: Option<String>,
    processed_stream: String,
    /// The document as it was posted.
    #[schema(value_type = StreamDocument)]
    config: serde_json::Value,
    /// Its number: configs of a stream are counted.
    config_version: u32,
    /// The config that will run when the update of the stack is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<PendingOut>,
    sinks: Vec<SinkOut>,
    created_at: String,
    created_by: String,
    updated_at: String,
    updated_by: String,
}

/// A config that does not run yet.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PendingOut {
    /// The document as it was posted.
    #[schema(value_type = StreamDocument)]
    config: serde_json::Value,
    /// Its number.
    config_version: u32,
}

/// A config that a stream had.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ConfigOut {
    /// Its number.
    n: u32,
    /// When it was accepted.
    updated_at: String,
    /// Who posted it.
    updated_by: String,
    /// It runs.
    current: bool,
    /// It will run when the update of the stack is done.
    pending: bool,
}

/// A sink.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SinkOut {
    #[serde(rename = "type")]
    kind: SinkKind,
    status: Status,
    /// Why the last operation failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    config: S3Settings,
    updated_at: String,
    updated_by: String,
}

/// A sink to be enabled.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkIn {
    /// `s3`; case does not matter.
    #[serde(rename = "type")]
    pub kind: String,
    /// How it writes.
    #[serde(default)]
    pub config: S3Settings,
}

impl StreamSummary {
    /// The stream as of `now`.
    pub fn new(record: &StreamRecord, now: OffsetDateTime) -> Self {
        let uptime = uptime(record, now);
        Self {
            version: record.key.version.to_string(),
            status: record.stack.status,
            active: record.stack.status.is_working() && !record.resources.is_paused,
            uptime: uptime.as_seconds_f64(),
            uptime_str: spoken(uptime),
            name: record.document.name.clone(),
        }
    }
}

impl StreamOut {
    /// The stream as of `now`.
    pub fn new(record: &StreamRecord, now: OffsetDateTime) -> Self {
        // Every field by name: a new one must be shown or left out on purpose.
        let StreamRecord {
            key,
            owner,
            ingest_id,
            posted,
            document,
            resources,
            config_version,
            last_config_version: _,
            pending,
            stack,
            sinks,
            created_at,
            created_by,
            updated_at,
            updated_by,
            revision: _,
        } = record;
        let uptime = uptime(record, now);
        Self {
            id: key.id.to_string(),
            version: key.version.to_string(),
            owner: owner.to_string(),
            status: stack.status,
            reason: stack.reason.clone(),
            active: stack.status.is_working() && !resources.is_paused,
            uptime: uptime.as_seconds_f64(),
            uptime_str: spoken(uptime),
            ingest_id: ingest_id.to_string(),
            access_rights: document.access_rights,
            confidentiality: document.access_rights.confidentiality(),
            raw_stream: resources.raw_stream.clone(),
            processed_stream: resources.processed_stream.clone(),
            config: posted.clone(),
            config_version: *config_version,
            pending: pending.as_ref().filter(|pending| pending.number != *config_version).map(PendingOut::new),
            paused: resources.is_paused,
            sinks: sinks.iter().map(|(kind, sink)| SinkOut::new(*kind, sink)).collect(),
            created_at: rfc3339_text(*created_at),
            created_by: created_by.clone(),
            updated_at: rfc3339_text(*updated_at),
            updated_by: updated_by.clone(),
        }
    }
}

impl PendingOut {
    fn new(pending: &PendingConfig) -> Self {
        let PendingConfig { number, posted, document: _, resources: _, sinks: _, accepted_at: _, accepted_by: _ } = pending;
        Self { config: posted.clone(), config_version: *number }
    }
}

impl ConfigOut {
    /// A config of this stream.
    pub fn new(config: &ConfigSummary, record: &StreamRecord) -> Self {
        let ConfigSummary { number, accepted_at, accepted_by } = config;
        Self {
            n: *number,
            updated_at: rfc3339_text(*accepted_at),
            updated_by: accepted_by.clone(),
            current: *number == record.config_version,
            pending: record.pending.as_ref().is_some_and(|pending| pending.number == *number && *number != record.config_version),
        }
    }
}

/// The stream with every default of its config filled in.
pub fn with_defaults(record: StreamRecord) -> StreamRecord {
    StreamRecord { posted: record.config_with_defaults(), ..record }
}

impl SinkOut {
    /// The sink as it is recorded.
    pub fn new(kind: SinkKind, sink: &SinkRecord) -> Self {
        let SinkRecord { settings, wanted: _, stack, updated_at, updated_by } = sink;
        Self {
            kind,
            status: stack.status,
            reason: stack.reason.clone(),
            config: settings.clone(),
            updated_at: rfc3339_text(*updated_at),
            updated_by: updated_by.clone(),
        }
    }
}

fn uptime(record: &StreamRecord, now: OffsetDateTime) -> time::Duration {
    if record.stack.status.is_working() { (now - record.stack.since).max(time::Duration::ZERO) } else { time::Duration::ZERO }
}

/// A duration as Bento says it: `1h2m3s`.
fn spoken(duration: time::Duration) -> String {
    let seconds = duration.whole_seconds();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_is_spoken_as_bento_does() {
        let say = |seconds| spoken(time::Duration::seconds(seconds));
        assert_eq!([0, 59, 60, 3_723].map(say), ["0s", "59s", "1m0s", "1h2m3s"]);
    }
}
