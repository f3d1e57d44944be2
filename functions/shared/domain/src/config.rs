//! A stream's configuration over time: the one that runs, the one that is wanted, and those that were.
//!
//! Each accepted config has a number, in the order in which they came. The numbers of a stream that is made anew under an old name go on
//! where the old stream's ended, so a number never means two configs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::declaration::Declaration;
use crate::document::{StreamDocument, StreamMode};
use crate::ids::{Owner, StreamKey};
use crate::lifecycle::{StackState, UpdateRequest};
use crate::output::{Buffering, S3Settings};
use crate::record::{SinkKind, SinkRecord, StreamRecord, StreamResources};
use crate::store::StoreFault;

/// A config that was accepted and does not run yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingConfig {
    /// Its number.
    pub number: u32,
    /// What was declared, as it was posted.
    pub posted: Value,
    /// What that means, with defaults.
    pub document: StreamDocument,
    /// What the stack is to be made with.
    pub resources: StreamResources,
    /// What becomes of the sinks when it runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<SinkKind, SinkChange>,
    /// When it was accepted.
    #[serde(with = "crate::record::rfc3339")]
    pub accepted_at: OffsetDateTime,
    /// Who posted it.
    pub accepted_by: String,
}

/// What becomes of a sink when a config runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkChange {
    /// It comes, with a stack of this name.
    Create {
        /// The name.
        stack_name: String,
    },
    /// Its stack is updated.
    Update {
        /// Names the request.
        token: String,
    },
    /// It goes. The data that it wrote stays.
    Delete,
}

/// A config that was accepted once.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedConfig {
    /// Which one, when and by whom.
    pub summary: ConfigSummary,
    /// What was declared, as it was posted.
    pub posted: Value,
}

/// Which config was accepted, when and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSummary {
    /// Its number.
    pub number: u32,
    /// When it was accepted.
    #[serde(with = "crate::record::rfc3339")]
    pub accepted_at: OffsetDateTime,
    /// Who posted it.
    pub accepted_by: String,
}

/// A part of a stream's history of configs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigPage {
    /// Only those with a lower number.
    pub before: Option<u32>,
    /// At most so many.
    pub limit: usize,
}

/// Finds the configs that a stream had. They are written with the stream's record, and outlive it.
#[async_trait::async_trait]
pub trait ConfigHistory: Send + Sync {
    /// Lists a stream's configs, the newest first.
    async fn list_configs(&self, owner: &Owner, key: &StreamKey, page: ConfigPage) -> Result<Vec<ConfigSummary>, StoreFault>;

    /// Loads one config by its number.
    async fn load_config(&self, owner: &Owner, key: &StreamKey, number: u32) -> Result<Option<AcceptedConfig>, StoreFault>;
}

/// Why a stream cannot take a config in place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FixedField {
    /// It is fixed for the stream's life.
    #[error("{0}")]
    ByStream(String),
    /// It is fixed while the stream has the sink.
    #[error(
        "{field} is fixed while the stream has a sink {sink}, whose objects are partitioned by it: disable the sink, change the stream, and enable it again"
    )]
    BySink {
        /// The sink.
        sink: SinkKind,
        /// The field.
        field: &'static str,
    },
}

impl StreamRecord {
    /// The number of the config that was accepted last, unless that one failed: what a caller who saw it can count on.
    pub fn wanted_config_version(&self) -> u32 {
        self.pending.as_ref().map_or(self.config_version, |pending| pending.number)
    }

    /// The config that was accepted last, as the history keeps it.
    pub fn newest_config(&self) -> AcceptedConfig {
        let (number, posted) = match &self.pending {
            Some(pending) => (pending.number, pending.posted.clone()),
            None => (self.config_version, self.posted.clone()),
        };
        AcceptedConfig { summary: ConfigSummary { number, accepted_at: self.updated_at, accepted_by: self.updated_by.clone() }, posted }
    }

    /// Runs a config from now on. The stacks of sinks that it changes are to be asked for after that.
    pub fn adopt(&mut self, config: PendingConfig) {
        let PendingConfig { number, posted, document, resources, sinks, accepted_at, accepted_by } = config;
        self.config_version = number;
        self.posted = posted;
        self.document = document;
        self.resources = resources;
        for (kind, change) in sinks {
            self.change_sink(kind, change, accepted_at, &accepted_by);
        }
    }

    /// Turns a sink to what the document says of it.
    pub fn change_sink(&mut self, kind: SinkKind, change: SinkChange, at: OffsetDateTime, by: &str) {
        let settings = self.document.output.settings(kind).cloned().unwrap_or_default();
        if let SinkChange::Create { stack_name } = change {
            let stack = StackState::creating(stack_name, at);
            self.sinks.insert(kind, SinkRecord { settings, wanted: None, stack, updated_at: at, updated_by: by.to_owned() });
            return;
        }
        let Some(sink) = self.sinks.get_mut(&kind) else { return };
        sink.updated_at = at;
        by.clone_into(&mut sink.updated_by);
        match change {
            SinkChange::Update { token } => {
                sink.wanted = Some(settings);
                sink.stack.start_update(UpdateRequest { token, asked_at: at });
            }
            SinkChange::Delete | SinkChange::Create { .. } => sink.stack.start_delete(at),
        }
    }

    /// The stream's declaration with another wish for one sink.
    pub fn declared_with_sink(&self, kind: SinkKind, settings: Option<S3Settings>) -> Declaration {
        let mut posted = self.posted.clone();
        match &settings {
            Some(settings) => posted["output"][kind.as_str()] = json!(settings),
            None => {
                if let Some(output) = posted.get_mut("output").and_then(Value::as_object_mut) {
                    output.remove(kind.as_str());
                }
            }
        }
        let mut document = self.document.clone();
        document.output.set(kind, settings);
        Declaration { posted, document }
    }

    /// Returns whether this is the config that runs, whatever its number.
    pub fn runs(&self, config: &PendingConfig) -> bool {
        let is_same = self.posted == config.posted && self.document == config.document && self.resources == config.resources;
        is_same && config.sinks.is_empty()
    }

    /// The config that runs, with every default filled in, those of the deployment too.
    pub fn config_with_defaults(&self) -> Value {
        let mut document = self.document.clone();
        let kinesis = &mut document.buffer.kinesis;
        kinesis.retention_hours = Some(self.resources.retention_hours);
        if kinesis.mode == StreamMode::Provisioned {
            kinesis.shards = Some(self.resources.shards);
        }
        if let Some(s3) = &mut document.output.s3 {
            let size_mb = s3.size_mb(self.is_partitioned_by_event_time());
            s3.buffering = Buffering { interval_seconds: Some(s3.interval_seconds()), size_mb: Some(size_mb) };
        }
        json!(document)
    }

    /// Checks that a document can take the place of the one that runs.
    ///
    /// # Errors
    /// The first field that cannot change in place.
    pub fn check_fixed_fields(&self, wanted: &StreamDocument) -> Result<(), FixedField> {
        let (now, then) = (json!(self.document.access_rights), json!(wanted.access_rights));
        if now != then {
            let why = "it stands in the name of every resource; declare another version of the stream instead";
            return Err(FixedField::ByStream(format!("access_rights: {now} cannot become {then}: {why}")));
        }
        let (now, then) = (self.resources.raw_stream.is_some(), wanted.buffer.raw);
        if now != then {
            let why = "events that wait in a raw stream would be lost with it; declare another version of the stream instead";
            return Err(FixedField::ByStream(format!("buffer.raw: {now} cannot become {then}: {why}")));
        }
        let (now, then) = (json!(self.document.input.format), json!(wanted.input.format));
        if now != then {
            let why = "events that wait in the raw stream and those in S3 are written in it; declare another version of the stream instead";
            return Err(FixedField::ByStream(format!("input.format: {now} cannot become {then}: {why}")));
        }
        let (now, then) = (&self.document.input, &wanted.input);
        // The format says nothing when there is no timestamp.
        let field = if now.timestamp != then.timestamp {
            Some("input.timestamp")
        } else if now.timestamp.is_some() && now.timestamp_format != then.timestamp_format {
            Some("input.timestamp_format")
        } else {
            None
        };
        match (field, self.sinks.keys().next()) {
            (Some(field), Some(sink)) => Err(FixedField::BySink { sink: *sink, field }),
            _ => Ok(()),
        }
    }
}
