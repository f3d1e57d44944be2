//! The whole system from outside: HTTP to a deployed stack.
//!
//! `make test` deploys a stack of its own and runs these; `make run` and `infra/local/main.py exec -- cargo test -p millrace-tests` run
//! them against the local AWS that is already there, except for those of the external issuer, which that deployment does not know. What
//! the tests create stays there: streams are named anew in every run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod amperity;
mod amperity_faults;
mod api_keys;
mod apply;
mod auth;
mod body_forms;
mod browsers;
mod cloud_events;
mod collection;
mod dead_letters;
mod document_sinks;
mod earthquakes;
mod event_rules;
mod external_issuer;
mod harness;
mod history;
mod idempotency;
mod ingest;
mod ingest_limits;
mod ingest_rate_limit;
mod mended;
mod moose;
mod pause;
mod pipeline;
mod processors;
mod raw_less;
mod resources;
mod sinks;
mod stats;
mod streams;
mod updates;
