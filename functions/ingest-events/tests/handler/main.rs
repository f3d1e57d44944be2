//! The handler of `ingest-events`, whole: recorded API Gateway events in, status and body out, fakes behind it, no network.

mod access;
mod bench;
mod bodies;
mod kinesis;
mod outcomes;
mod requests;
mod streams;
