//! What users write for us to run: VRL programs, and processors made of them and of rules. And events that are not JSON: XML read, CBOR
//! written.
//!
//! Promises: what compiles here can be kept and run; what does not is named where it stands in the document. Nothing that compiles can reach
//! the network, the environment or the file system.
//!
//! Leaves to others: the shape of documents and the rules between their fields (`millrace-domain`), JSON Schemas and paths (`millrace-rules`),
//! and batches (`process-stream`).

mod action;
pub mod cbor;
mod checks;
mod compile;
mod depth;
mod loops;
mod numbers;
pub mod program;
pub mod run;
mod stdlib;
pub mod trial;
pub mod xml;

pub use checks::{faults, input_faults, processor_faults};
pub use compile::Resources;
