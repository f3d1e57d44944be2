//! Rate limits as one instance keeps them: so many events in so much time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use crate::resource_config::LocalRateLimit;

/// The rate limits of one instance, by owner and id.
#[derive(Debug, Default)]
pub struct RateLimiter(Mutex<HashMap<String, Interval>>);

#[derive(Debug, Clone, Copy)]
struct Interval {
    began_at: OffsetDateTime,
    taken: u32,
}

impl RateLimiter {
    /// Lets one event through, or says how long it has to wait before it asks again.
    ///
    /// # Errors
    /// The time until the next interval.
    pub fn take(&self, name: &str, limit: &LocalRateLimit, now: OffsetDateTime) -> Result<(), Duration> {
        let length = limit.interval.duration();
        let mut intervals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = intervals.entry(name.to_owned()).or_insert(Interval { began_at: now, taken: 0 });
        if now >= interval.began_at + length {
            *interval = Interval { began_at: now, taken: 0 };
        }
        if interval.taken >= limit.count {
            return Err(Duration::try_from(interval.began_at + length - now).unwrap_or_default());
        }
        interval.taken += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration_text::DurationText;
    use time::macros::datetime;

    #[test]
    fn an_interval_lets_its_count_through_and_then_the_next_one_begins() {
        let limiter = RateLimiter::default();
        let limit = LocalRateLimit { count: 2, interval: DurationText::of_seconds(10) };
        let at = |seconds| datetime!(2026-01-01 00:00 UTC) + Duration::from_secs(seconds);
        assert_eq!(limiter.take("a", &limit, at(0)), Ok(()));
        assert_eq!(limiter.take("a", &limit, at(3)), Ok(()));
        assert_eq!(limiter.take("a", &limit, at(4)), Err(Duration::from_secs(6)));
        assert_eq!(limiter.take("b", &limit, at(4)), Ok(()), "another limit");
        assert_eq!(limiter.take("a", &limit, at(10)), Ok(()));
    }
}
