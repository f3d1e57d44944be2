//! What users write for us to check events by: JSON Schemas and paths (JSONPath).
//!
//! Promises: what compiles here can be kept and followed; what does not is named where it stands. Nothing is fetched.
//!
//! Leaves to others: programs (`millrace-pipeline`), and what becomes of an event that breaks a rule (`millrace-domain`).

pub mod event_rules;
pub mod path;
pub mod schema;
pub mod tree;
