//! The HTTP edge that every function shares: who calls, which route, what an error looks like, and one log line a request.
//!
//! Promises: every error is `application/problem+json` with a request id; every route needs the scope that the one route table says;
//! a foreign stream is answered like a missing one.
//!
//! Leaves to others: what a route does.

pub mod authenticate;
pub mod body;
mod claims;
mod content_encoding;
pub mod edge;
#[cfg(test)]
mod external_issuer_tests;
pub mod fields;
pub mod key_cache;
mod media_type;
pub mod owner;
pub mod problem;
pub mod query;
pub mod route_table;
pub mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token_memory;
pub mod trust;

pub use authenticate::{Authenticator, ExternalIssuer, Trust};
pub use body::{DocumentBody, EventBody, SentEvents};
pub use edge::{InvocationDeadline, Measures, RequestId, serve};
pub use fields::Fields;
pub use owner::ActingOwner;
pub use problem::{Problem, ProblemBody};
pub use route_table::{FunctionName, ROUTES};
pub use stream::AuthorizedStream;
pub use trust::TrustSettings;
