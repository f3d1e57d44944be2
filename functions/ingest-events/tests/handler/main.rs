//! The handler of `ingest-events`, whole: recorded API Gateway events in, status and body out, fakes behind it, no network.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod access;
mod amperity;
mod bench;
mod bodies;
mod cors;
mod encodings;
mod forms;
mod kinesis;
mod limits;
mod outcomes;
mod raw_less;
mod repeats;
mod requests;
mod rules;
mod streams;
mod xml;
