//! The one table: what lies where, and every read and write of it.
//!
//! | partition | sort key | holds |
//! |---|---|---|
//! | `OWNER#{owner}` | `STREAM#{id}#{version}` | a stream's record; nobody reaches another owner's partition |
//! | `OWNER#{owner}` | `CONFIG#{id}#{version}#{n}` | a config that a stream had (`n` has ten digits); it outlives the stream |
//! | `OWNER#{owner}` | `RESOURCE#{type}#{id}` | a resource, and in the set `used_by` who names it |
//! | `CLAIM#{id}` | `CLAIM` | the owner of an id, for ever |
//! | `SOURCE#{raw stream}` | `SOURCE` | where a raw stream's records go |
//! | `STACK#{stack name}` | `STACK` | which part of which stream a stack was made for |
//! | `INGEST#{ingest id}` | `INGEST` | which stream has this name for ingest |
//! | `IDEMPOTENCY#{digest}` | `IDEMPOTENCY` | the answer to a request with this `Idempotency-Key`, until the item expires |
//! | `RATE#{owner}#{id}#{start, ms since 1970}` | `RATE` | what a rate limit has given out in a window of time, until the item expires |
//! | `STATS#{ingest id}` | `STATS` | what a stream has done since it was made |
//! | `SEEN#{digest}` | `SEEN` | that an event of this key was forwarded, until the item expires |
//! | `LETTERS#{ingest id}#{letter id}` | `LETTER` | who has a dead letter in hand, and when it was put back |
//! | `LETTERS#{ingest id}#{sequence number}` | `SEQUENCE` | what an event went through before it was put back under that number |
//! | `KEYS` | `KEY#{kid}` | a public signing key |
//! | `APIKEYS#{owner}` | `KEY#{id}` | an API key; nobody reaches another owner's partition |
//! | `APIKEY#{id}` | `APIKEY` | the owner of an API key, for admins |

mod api_keys;
mod batches;
mod configs;
mod idempotency;
mod items;
mod keys;
mod letters;
mod lookups;
mod rate_leases;
mod resources;
mod seen_keys;
mod stats;
mod streams;
mod transaction;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;

/// How long one try of a call may take, and the call with all of its tries. It stands in the way of a request, and usually takes milliseconds.
const ATTEMPT_TIME: Duration = Duration::from_secs(2);
const CALL_TIME: Duration = Duration::from_secs(6);

/// The table.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// Uses the table of this name.
    pub fn new(config: &SdkConfig, name: String) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIME).operation_timeout(CALL_TIME);
        let config = aws_sdk_dynamodb::config::Builder::from(config).timeout_config(timeouts.build());
        Self { client: Client::from_conf(config.build()), name }
    }
}
