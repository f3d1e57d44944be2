//! Takes events over HTTP and puts them on a stream's raw Kinesis stream.
//!
//! Promises: an event that is answered as accepted is durable in Kinesis; every event of a request has one result, in order; a bad
//! event harms no other; a warm request of up to 500 good events makes one AWS call, but for keys, limits and letters.
//!
//! Leaves to others: what happens behind the raw stream (`process-stream`).

pub mod api_doc;
pub mod context;
pub mod cors;
pub mod repeat;
pub mod request;
pub mod results;
pub mod routes;
