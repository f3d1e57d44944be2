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
mod tests {
    use std::collections::VecDeque;
    use std::task::Poll;

    use futures::future::{join, join_all};
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;
    use crate::duration_text::DurationText;
    use crate::fake_rate_leases::FakeRateLeases;
    use crate::fakes::{FakeSystem, block_on, lock};
    use crate::system::System;

    const NAME: &str = "waste#per-sender";
    const INTERVAL: Duration = Duration::from_secs(10);

    fn limit(count: u32) -> LocalRateLimit {
        LocalRateLimit { count, interval: DurationText::of_seconds(10) }
    }

    struct Bench {
        leases: Arc<FakeRateLeases>,
        system: FakeSystem,
        limiter: SharedRateLimiter,
    }

    impl Bench {
        fn new() -> Self {
            let leases = Arc::new(FakeRateLeases::default());
            Self { limiter: SharedRateLimiter::new(leases.clone()), leases, system: FakeSystem::new() }
        }

        /// How many events were granted, and how many are left.
        fn take(&self, count: u32, wanted: usize) -> (usize, u32) {
            let grant = block_on(self.limiter.take(NAME, &limit(count), wanted, self.system.now()));
            (grant.granted, grant.quota.remaining)
        }

        fn look(&self, count: u32) -> Quota {
            self.limiter.look(NAME, &limit(count), self.system.now())
        }
    }

    #[test]
    fn windows_begin_at_the_same_time_for_everybody() {
        let now = datetime!(2026-01-01 00:00:07.25 UTC);
        for (now, millis, starts_at, ends_at) in [
            (now, 10_000, datetime!(2026-01-01 00:00 UTC), datetime!(2026-01-01 00:00:10 UTC)),
            (now, 300, datetime!(2026-01-01 00:00:07.2 UTC), datetime!(2026-01-01 00:00:07.5 UTC)),
            (datetime!(2026-01-01 00:00 UTC), 1_000, datetime!(2026-01-01 00:00 UTC), datetime!(2026-01-01 00:00:01 UTC)),
            (datetime!(1969-12-31 23:59:59.9 UTC), 1_000, datetime!(1969-12-31 23:59:59 UTC), datetime!(1970-01-01 00:00 UTC)),
        ] {
            assert_eq!(Window::around(now, Duration::from_millis(millis)), Window { starts_at, ends_at });
        }
    }

    #[test]
    fn what_is_held_is_given_out_without_a_call() {
        let bench = Bench::new();
        assert_eq!(bench.take(100, 0), (0, 100));
        assert_eq!(bench.take(100, 1), (1, 99));
        assert_eq!(bench.take(100, 4), (4, 95));
        assert_eq!(bench.take(100, 0), (0, 95));
        assert_eq!(bench.leases.calls(), [5]);
        assert_eq!(bench.take(100, 2), (2, 93));
        assert_eq!(bench.take(100, 10), (10, 83), "three that were held and seven more");
        assert_eq!(bench.leases.calls(), [5, 5, 7]);
    }

    #[test]
    fn a_lease_is_a_share_of_the_count_and_never_nothing() {
        for (count, missing, size) in [(1, 1, 1), (21, 1, 2), (1_000, 7, 50), (1_000_000_000, 5_000, 50_000_000), (10, 5_000, 5_000)] {
            assert_eq!(lease_size(count, missing), size, "{count}");
        }
    }

    #[test]
    fn a_request_of_more_than_are_left_gets_what_is_left_and_later_ones_cost_no_call() {
        let bench = Bench::new();
        assert_eq!(bench.take(10, 4), (4, 6));
        assert_eq!(bench.take(10, 5_000), (6, 0));
        assert_eq!(bench.take(10, 1), (0, 0));
        assert_eq!(bench.leases.calls(), [4, 5_000]);
        assert_eq!(block_on(bench.limiter.take("waste#other", &limit(10), 1, bench.system.now())).granted, 1, "another limit");
    }

    #[test]
    fn a_count_that_is_raised_within_the_window_holds_at_once() {
        let bench = Bench::new();
        assert_eq!(bench.take(10, 11), (10, 0));
        assert_eq!(bench.take(100, 1), (1, 88), "the event that was refused stays counted");
    }

    #[test]
    fn a_new_window_drops_what_was_held_and_begins_anew() {
        let bench = Bench::new();
        assert_eq!(bench.take(100, 1), (1, 99));
        bench.system.advance(INTERVAL);
        assert_eq!(bench.look(100).remaining, 100);
        assert_eq!(bench.take(100, 101), (100, 0));
        assert_eq!(bench.take(100, 1), (0, 0));
        bench.system.advance(INTERVAL);
        assert_eq!(bench.take(100, 1), (1, 99));
        assert_eq!(bench.leases.calls(), [5, 101, 5]);
    }

    #[test]
    fn a_look_says_what_is_known_and_takes_nothing() {
        let bench = Bench::new();
        assert_eq!(bench.look(100), Quota { count: 100, interval: INTERVAL, remaining: 100, resets_in: INTERVAL });
        bench.take(100, 3);
        bench.system.advance(Duration::from_millis(3_500));
        let resets_in = Duration::from_millis(6_500);
        for _ in 0..2 {
            assert_eq!(bench.look(100), Quota { count: 100, interval: INTERVAL, remaining: 97, resets_in });
        }
        assert_eq!(bench.leases.calls(), [5]);
    }

    #[test]
    fn everything_passes_while_the_store_is_away_and_it_is_asked_once_a_second() {
        let bench = Bench::new();
        assert_eq!(bench.take(100, 1), (1, 99));
        bench.leases.fail_next(1);
        assert_eq!(bench.take(100, 10), (10, 95), "what was held is used up");
        assert_eq!(bench.take(100, 5_000), (5_000, 95));
        bench.system.advance(PAUSE_AFTER_FAILURE - Duration::from_millis(1));
        assert_eq!(bench.take(100, 5_000), (5_000, 95));
        assert_eq!(bench.leases.calls(), [5, 6]);
        bench.system.advance(Duration::from_millis(1));
        assert_eq!(bench.take(100, 5_000), (95, 0));
        assert_eq!(bench.leases.calls(), [5, 6, 5_000]);
    }

    #[test]
    fn a_limit_that_is_known_to_be_reached_stays_so_while_the_store_is_away() {
        let bench = Bench::new();
        assert_eq!(bench.take(10, 11), (10, 0));
        bench.leases.fail_next(usize::MAX);
        assert_eq!(block_on(bench.limiter.take("waste#other", &limit(10), 11, bench.system.now())).granted, 11);
        assert_eq!(bench.take(10, 1), (0, 0));
        bench.system.advance(INTERVAL);
        assert_eq!(bench.take(10, 11), (11, 10), "nothing is known of the next window");
    }

    /// A store whose answers take a while: so many polls before it counts, and so many after it.
    #[derive(Default)]
    struct SlowLeases {
        leases: FakeRateLeases,
        delays: Mutex<VecDeque<(u8, u8)>>,
    }

    impl SlowLeases {
        fn with_delays(delays: impl IntoIterator<Item = (u8, u8)>) -> Arc<Self> {
            Arc::new(Self { delays: Mutex::new(delays.into_iter().collect()), ..Self::default() })
        }
    }

    #[async_trait::async_trait]
    impl RateLeases for SlowLeases {
        async fn lease(&self, limit: &str, window: Window, wanted: u32) -> Result<u64, StoreFault> {
            let (before, after) = lock(&self.delays).pop_front().unwrap_or_default();
            polls(before).await;
            let total = self.leases.lease(limit, window, wanted).await;
            polls(after).await;
            total
        }
    }

    async fn polls(times: u8) {
        let mut left = times;
        std::future::poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn unused(limiter: &SharedRateLimiter) -> usize {
        lock(&limiter.held).get(NAME).map_or(0, |held| held.unused as usize)
    }

    #[test]
    fn an_answer_that_comes_after_its_window_adds_nothing_to_the_next_one() {
        let limiter = SharedRateLimiter::new(SlowLeases::with_delays([(0, 3), (0, 0)]));
        let (now, limit) = (FakeSystem::new().now(), limit(100));
        let before = limiter.take(NAME, &limit, 1, now);
        let after = limiter.take(NAME, &limit, 2, now + INTERVAL);
        let (before, after) = block_on(join(before, after));
        assert_eq!((before.granted, before.quota.remaining), (1, 99));
        assert_eq!((after.granted, after.quota.remaining), (2, 98));
        assert_eq!((unused(&limiter), limiter.look(NAME, &limit, now + INTERVAL).remaining), (3, 98));
    }

    proptest! {
        /// Whoever asks when, and however the answers of the store cross each other, within one instance too.
        #[test]
        fn all_instances_together_give_out_the_count_and_no_more(
            count in 1_u32..300,
            instances in 2_usize..=4,
            at_once in 1_usize..8,
            takes in prop::collection::vec((0_usize..4, 0_usize..60), 1..40),
            delays in prop::collection::vec((0_u8..4, 0_u8..4), 0..40),
        ) {
            let leases = SlowLeases::with_delays(delays);
            let limiters: Vec<SharedRateLimiter> = (0..instances).map(|_| SharedRateLimiter::new(leases.clone())).collect();
            let (now, limit) = (FakeSystem::new().now(), limit(count));
            let window = Window::around(now, INTERVAL);
            let mut granted = 0;
            for together in takes.chunks(at_once) {
                let asked = together.iter().map(|(who, wanted)| limiters[who % instances].take(NAME, &limit, *wanted, now));
                let grants = block_on(join_all(asked));
                for (grant, (_, wanted)) in grants.iter().zip(together) {
                    prop_assert!(grant.granted <= *wanted && grant.quota.remaining <= count);
                    granted += grant.granted;
                }
                let held: usize = limiters.iter().map(unused).sum();
                let leased = leases.leases.given(NAME, window).min(count.into());
                prop_assert_eq!((granted + held) as u64, leased, "nothing is granted twice, and nothing is lost");
            }
            for limiter in &limiters {
                loop {
                    let grant = block_on(limiter.take(NAME, &limit, 7, now));
                    granted += grant.granted;
                    if grant.granted < 7 { break }
                }
            }
            prop_assert_eq!(granted, count as usize);
            let calls = leases.leases.calls().len();
            for limiter in &limiters {
                prop_assert_eq!(block_on(limiter.take(NAME, &limit, 1, now)).granted, 0);
            }
            prop_assert_eq!(leases.leases.calls().len(), calls, "a limit that is reached costs no call");
        }
    }
}
