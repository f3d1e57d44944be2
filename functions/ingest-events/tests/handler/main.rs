//! The handler of `ingest-events`, whole: recorded API Gateway events in, status and body out, fakes behind it, no network.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod access;
mod bench;
mod bodies;
mod cors;
mod kinesis;
mod outcomes;
mod raw_less;
mod requests;
mod streams;
mod xml;
