//! The adapters to AWS: one module a service, one cargo feature each, so that a function links only what it calls.
//!
//! Promises: every port of `millrace-domain` has its one implementation here; AWS errors arrive as the domain's faults.
//!
//! Leaves to others: decisions. Retries of single records, splitting and deadlines are the domain's.

#[cfg(feature = "cloudformation")]
pub mod cloudformation;
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
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn};

/// The longest that connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// Takes region and credentials from the environment, with time-outs short enough for an invocation to answer for itself.
///
/// That is where Lambda puts them (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>); to look anywhere else costs
/// start time. Every client that is made of the result shares its connections.
pub async fn connect() -> SdkConfig {
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5)).operation_timeout(Duration::from_secs(15)).build();
    aws_config::defaults(BehaviorVersion::latest())
        .region(EnvironmentVariableRegionProvider::new())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .http_client(connections())
        .timeout_config(timeouts)
        .load()
        .await
}

/// One connector for every client, made of what the SDK makes one for each of them, with its default for proxies. So the root certificates
/// are read once, and at the start, when Lambda gives a function the most to compute with.
fn connections() -> SharedHttpClient {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIME).build();
    let builder = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).connector_settings(settings);
    let connector = SharedHttpConnector::new(builder.proxy_config(ProxyConfig::from_env()).build());
    http_client_fn(move |_, _| connector.clone())
}
