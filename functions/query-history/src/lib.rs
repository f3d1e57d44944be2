//! Answers over HTTP which events a stream had in a range of time, read from the objects of its S3 sink.
//!
//! Promises: events come sorted by time, each in its own bytes, on pages that do not overlap; memory is bounded whatever the objects
//! hold; every bad parameter of a request is named at once.
//!
//! Leaves to others: writing the objects (Firehose, by the sink's stack), and what a query keeps and reads (`millrace-domain`).

pub mod context;
pub mod routes;
