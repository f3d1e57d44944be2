//! Answers over HTTP what a stream had: its events in a range of time, read from the objects of its S3 sink, and its dead letters, which
//! it also puts back on the raw stream.
//!
//! Promises: events come sorted by time, each in its own bytes, on pages that do not overlap; dead letters come as they were written, and
//! are put back once; memory is bounded whatever the objects hold; every bad parameter of a request is named at once.
//!
//! Leaves to others: writing the objects (Firehose, by the stacks of streams and sinks), and what a query keeps and reads
//! (`millrace-domain`).

pub mod context;
mod letter_views;
pub mod routes;
