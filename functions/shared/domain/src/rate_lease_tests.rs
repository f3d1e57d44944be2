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
