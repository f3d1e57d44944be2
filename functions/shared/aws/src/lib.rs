//! The adapters to AWS: one module a service, one cargo feature each, so that a function links only what it calls.
//!
//! Promises: every port of `millrace-domain` has its one implementation here; AWS errors arrive as the domain's faults.
//!
//! Leaves to others: decisions. Retries of single records, splitting and deadlines are the domain's.

#[cfg(feature = "cloudformation")]
pub mod cloudformation;
mod connections;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
mod fault;
#[cfg(feature = "firehose")]
pub mod firehose;
pub mod host_system;
#[cfg(feature = "kinesis")]
pub mod kinesis;
#[cfg(feature = "kms")]
pub mod kms;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "cloudformation")]
pub mod stack_settings;

use std::time::Duration;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

use crate::connections::Connections;

/// Takes region and credentials from the environment, with time-outs short enough for an invocation to answer for itself.
///
/// That is where Lambda puts them (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>); to look anywhere else costs
/// start time. Every client that is made of the result shares its connections.
pub async fn connect() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(15))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .region(EnvironmentVariableRegionProvider::new())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .http_client(Connections::new())
        .timeout_config(timeouts)
        .load()
        .await
}
