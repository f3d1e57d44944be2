//! Clock, sleep and chance, injected: a test never waits for real and never rolls dice.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use time::OffsetDateTime;

/// The clock, the pause and the randomness of the machine.
#[async_trait::async_trait]
pub trait System: Send + Sync {
    /// Returns the current time, in UTC.
    fn now(&self) -> OffsetDateTime;

    /// Waits for `duration`.
    async fn sleep(&self, duration: Duration);

    /// Returns 64 random bits. Not for secrets.
    fn random(&self) -> u64;
}

/// Waits for a future, and no longer than `duration`: `None` when it has not ended by then.
pub async fn within<F: Future>(system: &dyn System, duration: Duration, future: F) -> Option<F::Output> {
    match select(pin!(future), system.sleep(duration)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Returns a wait drawn evenly from zero to `base * 2^attempt`, at most `cap` ("full jitter").
///
/// Source: <https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/>.
pub fn full_jitter(attempt: u32, base: Duration, cap: Duration, random: u64) -> Duration {
    let ceiling = base.saturating_mul(2_u32.saturating_pow(attempt)).min(cap);
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random % nanos.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jittered_wait_stays_under_its_ceiling() {
        let base = Duration::from_millis(50);
        let cap = Duration::from_secs(2);
        for attempt in 0..40 {
            for random in [0, 1, u64::MAX / 3, u64::MAX] {
                let ceiling = base.saturating_mul(2_u32.saturating_pow(attempt)).min(cap);
                assert!(full_jitter(attempt, base, cap, random) <= ceiling);
            }
        }
    }
}
