//! The heart of Millrace: what a stream is, what may be sent to it, and what becomes of every event.
//!
//! Promises: pure data and decisions. Everything that touches the outside world (AWS, the clock, chance) is a port, a small trait
//! named for the capability, with a fake beside it that takes a script of faults (feature `fakes`).
//!
//! Leaves to others: AWS calls (`millrace-aws`), HTTP (`millrace-http`), logs and metrics (`millrace-telemetry`).

pub mod access;
pub mod api_key;
pub mod api_key_cache;
pub mod cloud_event;
pub mod collection;
pub mod config;
pub mod dead_letter;
pub mod declaration;
pub mod dedupe;
pub mod document;
pub mod duration_text;
pub mod environment;
#[cfg(any(test, feature = "fakes"))]
mod fake_idempotency;
#[cfg(any(test, feature = "fakes"))]
mod fake_keys;
#[cfg(any(test, feature = "fakes"))]
mod fake_letters;
#[cfg(any(test, feature = "fakes"))]
pub mod fake_objects;
#[cfg(any(test, feature = "fakes"))]
mod fake_rate_leases;
#[cfg(any(test, feature = "fakes"))]
mod fake_resources;
#[cfg(any(test, feature = "fakes"))]
mod fake_seen_keys;
#[cfg(any(test, feature = "fakes"))]
mod fake_stacks;
#[cfg(any(test, feature = "fakes"))]
mod fake_stats;
#[cfg(any(test, feature = "fakes"))]
mod fake_store;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod field_path;
mod formats;
pub mod history;
pub mod idempotency;
pub mod ids;
pub mod ingest;
pub mod input;
pub mod json_text;
pub mod letters;
pub mod lifecycle;
pub mod limits;
pub mod lint;
mod meaning;
pub mod names;
pub mod outcome;
pub mod output;
mod patch;
pub mod pipeline;
pub mod process;
pub mod provision;
pub mod publish;
pub mod rate_lease;
pub mod rate_limiter;
pub mod record;
pub mod reference;
pub mod resource;
pub mod resource_config;
pub mod resource_declaration;
pub mod schema;
pub mod signing;
pub mod spelling;
pub mod stack_request;
pub mod stats;
pub mod store;
pub mod system;
pub mod text_tree;
pub mod token;
