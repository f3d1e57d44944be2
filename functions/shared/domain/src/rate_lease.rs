//! Rate limits that all instances of a function share: each leases a part of a window's events from the store, and gives out of it.
//!
//! An instance asks the store only when its lease is used up, so that most requests cost no call. What it has leased and does not need
//! is lost to the others until the window ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use crate::resource_config::LocalRateLimit;
use crate::store::StoreFault;

/// Into how many leases a window's events are cut, at least. Ours: more of them are more calls, fewer leave more with instances that do
/// not need them.
const LEASES_PER_WINDOW: u32 = 20;

/// How long after a failure the store is not asked again, by any limit: an outage is not one slow call a request. Ours.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Limits remembered at most; beyond them the memory is emptied, and what it held is lost.
const MAX_LIMITS: usize = 10_000;

/// A stretch of time in which a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When it begins: a whole number of intervals after 1970 began, whoever looks.
    pub starts_at: OffsetDateTime,
    /// When the next one begins.
    pub ends_at: OffsetDateTime,
}

impl Window {
    /// Finds the window of this length that a time lies in.
    pub fn around(now: OffsetDateTime, interval: Duration) -> Self {
        let length = i128::try_from(interval.as_nanos()).unwrap_or(i128::MAX).max(1);
        let passed = now.unix_timestamp_nanos().rem_euclid(length);
        let starts_at = now - Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX));
        Self { starts_at, ends_at: starts_at + interval }
    }
}

/// Counts what the windows of rate limits have given out, for all instances.
#[async_trait::async_trait]
pub trait RateLeases: Send + Sync {
    /// Adds `wanted` to what a window has given out, and returns the total after it. Logs why it could not: the limiter only passes
    /// over it.
    async fn lease(&self, limit: &str, window: Window, wanted: u32) -> Result<u64, StoreFault>;
}

/// What a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// How many events may pass, at most as many as were wanted.
    pub granted: usize,
    /// What is known of the limit after it.
    pub quota: Quota,
}

/// What one instance knows of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Events within one interval.
    pub count: u32,
    /// The interval.
    pub interval: Duration,
    /// Events that are left in this window. Other instances may have taken some of them since.
    pub remaining: u32,
    /// The time until the next window.
    pub resets_in: Duration,
}

/// The rate limits that an instance shares with all others, by owner and id.
pub struct SharedRateLimiter {
    leases: Arc<dyn RateLeases>,
    held: Mutex<HashMap<String, Held>>,
    /// Until when the store is not asked again, since it has just failed.
    pause_until: Mutex<Option<OffsetDateTime>>,
}

impl SharedRateLimiter {
    /// Leases from `leases`.
    pub fn new(leases: Arc<dyn RateLeases>) -> Self {
        Self { leases, held: Mutex::default(), pause_until: Mutex::default() }
    }

    /// Lets events through, or as many of them as are left. When the store fails it lets all of them through: a limit is no reason for
    /// an outage.
    pub async fn take(&self, name: &str, limit: &LocalRateLimit, wanted: usize, now: OffsetDateTime) -> Grant {
        let ask = Ask::new(name, limit, now);
        let wanted_events = u32::try_from(wanted).unwrap_or(u32::MAX);
        let (taken, held) = self.take_held(&ask, wanted_events);
        let missing = wanted_events - taken;
        if missing == 0 || held.is_exhausted(limit.count) {
            return ask.grant(taken as usize, &held);
        }
        if self.is_paused(now) {
            return ask.grant(wanted, &held);
        }
        let size = lease_size(limit.count, missing);
        let Ok(total) = self.leases.lease(name, ask.window, size).await else {
            *self.pause_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + PAUSE_AFTER_FAILURE);
            return ask.grant(wanted, &held);
        };
        let (more, held) = self.take_leased(&ask, Lease { size, total }, missing);
        ask.grant((taken + more) as usize, &held)
    }

    /// Says what is known of a limit without taking anything.
    pub fn look(&self, name: &str, limit: &LocalRateLimit, now: OffsetDateTime) -> Quota {
        let ask = Ask::new(name, limit, now);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        ask.quota(&held.filter(|held| held.window == ask.window).unwrap_or(Held::nothing(ask.window)))
    }

    /// Gives out of what is held in this window, which may be new.
    fn take_held(&self, ask: &Ask<'_>, wanted: u32) -> (u32, Held) {
        let mut limits = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if limits.len() >= MAX_LIMITS && !limits.contains_key(ask.name) {
            limits.clear();
        }
        let held = limits.entry(ask.name.to_owned()).or_insert(Held::nothing(ask.window));
        if held.window != ask.window {
            *held = Held::nothing(ask.window);
        }
        (held.give(wanted), *held)
    }

    /// Adds a lease to what is held, and gives out of both. What it leaves is dropped if the window was over before the answer came.
    fn take_leased(&self, ask: &Ask<'_>, lease: Lease, missing: u32) -> (u32, Held) {
        let mut late = Held::nothing(ask.window);
        let mut limits = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = limits.get_mut(ask.name).filter(|held| held.window == ask.window).unwrap_or(&mut late);
        held.add(lease, ask.limit.count);
        (held.give(missing), *held)
    }

    fn is_paused(&self, now: OffsetDateTime) -> bool {
        self.pause_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|end| now < end)
    }
}

/// As many events as are missing, or a lease's share of the count if that is more.
fn lease_size(count: u32, missing: u32) -> u32 {
    missing.max(count.div_ceil(LEASES_PER_WINDOW)).max(1)
}

/// A limit at a time.
struct Ask<'a> {
    name: &'a str,
    limit: &'a LocalRateLimit,
    window: Window,
    now: OffsetDateTime,
}

impl<'a> Ask<'a> {
    fn new(name: &'a str, limit: &'a LocalRateLimit, now: OffsetDateTime) -> Self {
        Self { name, limit, window: Window::around(now, limit.interval.duration()), now }
    }

    fn grant(&self, granted: usize, held: &Held) -> Grant {
        Grant { granted, quota: self.quota(held) }
    }

    fn quota(&self, held: &Held) -> Quota {
        let count = self.limit.count;
        let resets_in = Duration::try_from(self.window.ends_at - self.now).unwrap_or_default();
        Quota { count, interval: self.limit.interval.duration(), remaining: held.remaining(count), resets_in }
    }
}

/// What the store was asked for, and its answer.
#[derive(Debug, Clone, Copy)]
struct Lease {
    size: u32,
    total: u64,
}

/// What an instance has of a limit's window.
#[derive(Debug, Clone, Copy)]
struct Held {
    window: Window,
    /// Leased, and not given out yet.
    unused: u32,
    /// What all instances had leased when one of them was last heard of, refused events among it.
    total: u64,
}

impl Held {
    /// A window that the store was not asked about.
    fn nothing(window: Window) -> Self {
        Self { window, unused: 0, total: 0 }
    }

    fn give(&mut self, wanted: u32) -> u32 {
        let given = wanted.min(self.unused);
        self.unused -= given;
        given
    }

    /// Of a lease that goes beyond the count, only the part within it is good.
    fn add(&mut self, lease: Lease, count: u32) {
        let beyond = u32::try_from(lease.total.saturating_sub(count.into())).unwrap_or(u32::MAX);
        self.unused = self.unused.saturating_add(lease.size.saturating_sub(beyond));
        // Answers may overtake each other.
        self.total = self.total.max(lease.total);
    }

    /// The store has nothing left to lease: there is no need to ask it before the next window.
    fn is_exhausted(&self, count: u32) -> bool {
        self.total >= u64::from(count)
    }

    fn remaining(&self, count: u32) -> u32 {
        let unleased = count.saturating_sub(u32::try_from(self.total).unwrap_or(u32::MAX));
        // A count that was lowered within the window is below what was leased before.
        unleased.saturating_add(self.unused).min(count)
    }
}

#[cfg(test)]
#[path = "rate_lease_tests.rs"]
mod tests;
