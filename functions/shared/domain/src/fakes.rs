//! Stateful fakes of the ports. Each takes a script of faults, consumed one a call; after the script all goes well.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;

use crate::dead_letter::{DeadLetter, DeadLetters};
use crate::outcome::RetryReason;
use crate::publish::{Deadline, EventPublisher, PutResult, Record};
use crate::system::System;

pub use crate::fake_idempotency::{FakeIdempotencyKeys, KeyCall, KeyFault};
pub use crate::fake_keys::{FakeApiKeys, FakeVerificationKeys, api_key};
pub use crate::fake_letters::{FakeMarks, FakeRawStreams, MarkCall, MarkFault, dead_letter};
pub use crate::fake_rate_leases::FakeRateLeases;
pub use crate::fake_resources::resource;
pub use crate::fake_seen_keys::{FakeGates, FakeSeenKeys};
pub use crate::fake_stacks::FakeStacks;
pub use crate::fake_stats::{FakeStats, StatsFault};
pub use crate::fake_store::{FakeStore, active_stream, active_stream_without_raw};

/// Runs a future that waits for nothing but fakes.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Locks a fake's state. A test that panicked while it held the lock has failed already.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A clock that moves only when somebody sleeps, and a counter for chance.
#[derive(Debug)]
pub struct FakeSystem {
    now: Mutex<OffsetDateTime>,
    random: Mutex<u64>,
}

impl FakeSystem {
    /// Starts at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self { now: Mutex::new(datetime!(2026-01-01 00:00 UTC)), random: Mutex::new(0) }
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        *lock(&self.now) += duration;
    }
}

impl Default for FakeSystem {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait::async_trait]
impl System for FakeSystem {
    fn now(&self) -> OffsetDateTime {
        *lock(&self.now)
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }

    fn random(&self) -> u64 {
        let mut random = lock(&self.random);
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *random
    }
}

/// What goes wrong in one call of a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutFault {
    /// All goes well.
    Ok,
    /// The records at these places fail, the others are taken.
    PartialFailure(Vec<usize>),
    /// The whole call is throttled.
    Throttle,
    /// The whole call fails.
    Unavailable,
    /// No answer comes, though everything was written.
    TimeoutAfterWrite,
}

#[cfg(test)]
impl PutFault {
    /// Any fault at all.
    pub(crate) fn any() -> impl proptest::strategy::Strategy<Value = Self> {
        use proptest::prelude::*;
        prop_oneof![
            Just(Self::Ok),
            prop::collection::vec(0_usize..500, 0..40).prop_map(Self::PartialFailure),
            Just(Self::Throttle),
            Just(Self::Unavailable),
            Just(Self::TimeoutAfterWrite),
        ]
    }
}

/// Keeps what is put, by stream.
#[derive(Debug, Default)]
pub struct FakePublisher {
    script: Mutex<VecDeque<PutFault>>,
    calls: Mutex<Vec<Vec<String>>>,
    stored: Mutex<Vec<(String, String, String)>>,
}

impl FakePublisher {
    /// One fault a call, in order.
    pub fn with_script(script: impl IntoIterator<Item = PutFault>) -> Self {
        Self { script: Mutex::new(script.into_iter().collect()), ..Self::default() }
    }

    /// The data of every call's records.
    pub fn calls(&self) -> Vec<Vec<String>> {
        lock(&self.calls).clone()
    }

    /// What a stream holds: data and partition key.
    pub fn stored(&self, stream: &str) -> Vec<(String, String)> {
        let stored = lock(&self.stored);
        stored.iter().filter(|(name, _, _)| name == stream).map(|(_, data, key)| (data.clone(), key.clone())).collect()
    }
}

#[async_trait::async_trait]
impl EventPublisher for FakePublisher {
    async fn put(&self, stream: &str, records: &[Record<'_>]) -> Result<Vec<PutResult>, RetryReason> {
        let text = |record: &Record<'_>| String::from_utf8_lossy(record.data).into_owned();
        lock(&self.calls).push(records.iter().map(text).collect());
        let fault = lock(&self.script).pop_front().unwrap_or(PutFault::Ok);
        let failed = match &fault {
            PutFault::Throttle => return Err(RetryReason::Throttled),
            PutFault::Unavailable => return Err(RetryReason::Unavailable),
            PutFault::PartialFailure(failed) => failed.clone(),
            PutFault::Ok | PutFault::TimeoutAfterWrite => Vec::new(),
        };
        let mut results = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            if failed.contains(&index) {
                results.push(Err(RetryReason::Throttled));
            } else {
                lock(&self.stored).push((stream.to_owned(), text(record), record.partition_key.to_owned()));
                results.push(Ok(()));
            }
        }
        if fault == PutFault::TimeoutAfterWrite { Err(RetryReason::TimedOut) } else { Ok(results) }
    }
}

/// Keeps dead letters, after failing a number of times.
#[derive(Debug, Default)]
pub struct FakeDeadLetters {
    failures: Mutex<usize>,
    stored: Mutex<Vec<(String, DeadLetter)>>,
}

impl FakeDeadLetters {
    /// Fails the first calls.
    pub fn failing(times: usize) -> Self {
        Self { failures: Mutex::new(times), ..Self::default() }
    }

    /// The letters on a delivery stream.
    pub fn stored(&self, delivery_stream: &str) -> Vec<DeadLetter> {
        lock(&self.stored).iter().filter(|(name, _)| name == delivery_stream).map(|(_, letter)| letter.clone()).collect()
    }
}

#[async_trait::async_trait]
impl DeadLetters for FakeDeadLetters {
    async fn put(&self, delivery_stream: &str, letters: &[DeadLetter], _deadline: Deadline) -> Result<(), RetryReason> {
        let mut failures = lock(&self.failures);
        if *failures > 0 {
            *failures -= 1;
            return Err(RetryReason::Unavailable);
        }
        lock(&self.stored).extend(letters.iter().map(|letter| (delivery_stream.to_owned(), letter.clone())));
        Ok(())
    }
}
