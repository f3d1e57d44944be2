//! The machine's own clock, sleep and chance.

use std::time::Duration;

use domain::system::System;
use time::OffsetDateTime;

/// The real thing.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostSystem;

#[async_trait::async_trait]
impl System for HostSystem {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}
