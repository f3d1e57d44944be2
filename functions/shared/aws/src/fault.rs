//! AWS errors in the domain's words.

use aws_config::SdkConfig;
use domain::store::StoreFault;

/// Wraps an SDK error with what was tried.
#[allow(dead_code, reason = "each feature uses it, none at all is a valid choice too")]
pub(crate) fn store_fault<E>(tried: &str) -> impl FnOnce(E) -> StoreFault
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| StoreFault { message: tried.to_owned(), source: Some(Box::new(error)) }
}

/// The error codes by which AWS services say "too fast"
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>).
#[allow(dead_code, reason = "each feature uses it, none at all is a valid choice too")]
pub(crate) fn is_throttling(code: Option<&str>) -> bool {
    matches!(
        code,
        Some(
            "ProvisionedThroughputExceededException"
                | "LimitExceededException"
                | "Throttling"
                | "ThrottlingException"
                | "ThrottledException"
                | "RequestLimitExceeded"
                | "RequestThrottled"
                | "TooManyRequestsException"
                | "KMSThrottlingException"
                | "SlowDown"
        )
    )
}

/// The configuration for a client whose retries are the domain's.
#[allow(dead_code, reason = "only record-putting clients retry by themselves")]
pub(crate) fn without_retries(config: &SdkConfig) -> SdkConfig {
    config.to_builder().retry_config(aws_config::retry::RetryConfig::disabled()).build()
}
