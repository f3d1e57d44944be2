//! AWS errors in the domain's words.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
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

/// The configuration for a client whose retries are the domain's, and whose bodies are small: each of what is left out here costs every call
/// a timer or a task. One try has one limit of time, that of [`crate::connect`].
#[allow(dead_code, reason = "only record-putting clients retry by themselves")]
pub(crate) fn without_retries(config: &SdkConfig) -> SdkConfig {
    let timeouts = config.timeout_config().map(|timeouts| timeouts.clone().into_builder().disable_operation_timeout().build());
    let mut builder = config.to_builder().retry_config(RetryConfig::disabled());
    builder = builder.stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    builder.set_timeout_config(timeouts);
    builder.build()
}
