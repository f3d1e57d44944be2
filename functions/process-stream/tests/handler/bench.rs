//! The function, with the outside world faked.

use std::sync::Arc;
use std::time::Duration;

use domain::dead_letter::DeadLetters;
use domain::fakes::{FakeDeadLetters, FakePublisher, FakeStore, FakeSystem, PutFault, active_stream};
use domain::stats::Stats;
use domain::system::System;
use lambda_runtime::{Error, LambdaEvent};
use process_stream::context::Context;
use process_stream::event::KinesisBatch;
use process_stream::handler::handle;
use serde_json::Value;

pub(crate) const PROCESSED: &str = "dp.green.refuse-trucks.processed.1.json";
pub(crate) const DEAD_LETTERS: &str = "mr-test-dead-letters-refuse-trucks-1";

/// The function and everything behind it; the store knows `refuse-trucks/1`.
pub(crate) struct Bench {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) publisher: Arc<FakePublisher>,
    pub(crate) letters: Arc<FakeDeadLetters>,
    pub(crate) system: Arc<FakeSystem>,
    context: Context,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_faults([], FakeDeadLetters::default())
    }

    pub(crate) fn with_faults(script: impl IntoIterator<Item = PutFault>, letters: FakeDeadLetters) -> Self {
        let store = FakeStore::default();
        store.insert(active_stream("refuse-trucks", "1", "waste"));
        Self::of(store, FakePublisher::with_script(script), letters)
    }

    pub(crate) fn of(store: FakeStore, publisher: FakePublisher, letters: FakeDeadLetters) -> Self {
        let (store, publisher, letters) = (Arc::new(store), Arc::new(publisher), Arc::new(letters));
        let system = Arc::new(FakeSystem::new());
        let context = Context::new(store.clone(), publisher.clone(), letters.clone() as Arc<dyn DeadLetters>, system.clone());
        Self { store, publisher, letters, system, context }
    }

    pub(crate) async fn send(&self, batch: &Value) -> Result<Value, Error> {
        self.send_with(batch, Duration::from_secs(60)).await
    }

    /// Sends a batch with this much time left, and answers as Lambda would see it.
    pub(crate) async fn send_with(&self, batch: &Value, left: Duration) -> Result<Value, Error> {
        let event: KinesisBatch = serde_json::from_value(batch.clone()).unwrap();
        let mut invocation = lambda_runtime::Context::default();
        invocation.request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef".to_owned();
        let end = self.system.now() + left;
        invocation.deadline = (end.unix_timestamp_nanos() / 1_000_000).try_into().unwrap();
        let response = handle(&self.context, LambdaEvent::new(event, invocation)).await?;
        Ok(serde_json::to_value(response).unwrap())
    }

    /// What is counted of the stream.
    pub(crate) fn stats(&self) -> Stats {
        self.store.stats.stored(&active_stream("refuse-trucks", "1", "waste").ingest_id).unwrap()
    }

    pub(crate) fn forwarded(&self) -> Vec<(String, String)> {
        self.publisher.stored(PROCESSED)
    }
}
