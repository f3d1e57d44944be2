//! Two callers at once: each has read before either writes.

use std::sync::Arc;

use domain::access::Reach;
use domain::config::{AcceptedConfig, ConfigHistory, ConfigPage, ConfigSummary};
use domain::fakes::FakeStore;
use domain::ids::{IngestId, Owner, StreamId, StreamKey, Version};
use domain::record::StreamRecord;
use domain::stats::{Stats, StatsReader};
use domain::store::{FaultyStreams, StoreFault, StreamReader, StreamStore, StreamWriter, WriteFault};
use tokio::task::yield_now;

use crate::bench::{Bench, DOCUMENT, NEWEST, S3, S3_SINK, SINKS, STREAM};

/// A table that takes its time: whoever reads lets the other read, too.
struct SlowStore(Arc<FakeStore>);

#[async_trait::async_trait]
impl StreamReader for SlowStore {
    async fn load(&self, reach: &Reach, id: &StreamId, version: Option<&Version>) -> Result<Option<StreamRecord>, StoreFault> {
        let found = self.0.load(reach, id, version).await;
        yield_now().await;
        found
    }

    async fn load_for_ingest(&self, reach: &Reach, id: &StreamId) -> Result<Option<StreamRecord>, StoreFault> {
        let found = self.0.load_for_ingest(reach, id).await;
        yield_now().await;
        found
    }
}

#[async_trait::async_trait]
impl StreamStore for SlowStore {
    async fn list(&self, owner: &Owner) -> Result<Vec<StreamRecord>, StoreFault> {
        let found = self.0.list(owner).await;
        yield_now().await;
        found
    }

    async fn create(&self, record: &StreamRecord) -> Result<(), WriteFault> {
        yield_now().await;
        self.0.create(record).await
    }
}

#[async_trait::async_trait]
impl StreamWriter for SlowStore {
    async fn replace(&self, before: &StreamRecord, after: &StreamRecord) -> Result<(), WriteFault> {
        yield_now().await;
        self.0.replace(before, after).await
    }

    async fn remove(&self, record: &StreamRecord) -> Result<(), WriteFault> {
        yield_now().await;
        self.0.remove(record).await
    }
}

#[async_trait::async_trait]
impl ConfigHistory for SlowStore {
    async fn list_configs(&self, owner: &Owner, key: &StreamKey, page: ConfigPage) -> Result<Vec<ConfigSummary>, StoreFault> {
        self.0.list_configs(owner, key, page).await
    }

    async fn load_config(&self, owner: &Owner, key: &StreamKey, number: u32) -> Result<Option<AcceptedConfig>, StoreFault> {
        self.0.load_config(owner, key, number).await
    }
}

#[async_trait::async_trait]
impl StatsReader for SlowStore {
    async fn load_stats(&self, stream: &IngestId) -> Result<Option<Stats>, StoreFault> {
        self.0.load_stats(stream).await
    }
}

#[async_trait::async_trait]
impl FaultyStreams for SlowStore {
    async fn faulty(&self) -> Result<Vec<StreamRecord>, StoreFault> {
        self.0.faulty().await
    }
}

fn bench() -> Bench {
    let store = Arc::new(FakeStore::default());
    Bench::with_store(store.clone(), Arc::new(SlowStore(store)), [])
}

fn sorted(mut statuses: [u16; 2]) -> [u16; 2] {
    statuses.sort_unstable();
    statuses
}

#[tokio::test]
async fn of_two_racing_creations_one_is_a_conflict_and_one_stack_is_asked_for() {
    for (path, success) in [(STREAM, 201), (NEWEST, 200)] {
        let bench = bench();
        let (one, other) = tokio::join!(bench.post(path, DOCUMENT), bench.post(path, DOCUMENT));
        assert_eq!(sorted([one.status, other.status]), [success, 409], "{path}");
        assert_eq!(bench.stacks_asked_for(), 1, "{path}");
    }
}

#[tokio::test]
async fn of_two_racing_sinks_one_is_a_conflict_and_one_stack_is_asked_for() {
    let bench = bench();
    bench.make(STREAM, DOCUMENT).await;
    let (one, other) = tokio::join!(bench.post(SINKS, S3_SINK), bench.post(SINKS, S3_SINK));
    assert_eq!(sorted([one.status, other.status]), [201, 409]);
    assert_eq!(bench.stacks_asked_for(), 2);
    bench.finish_stacks();
    assert_eq!(bench.get(S3).await.body["status"], "ACTIVE");
}

#[tokio::test]
async fn a_stream_is_not_deleted_under_a_sink_that_is_being_enabled() {
    let bench = bench();
    bench.make(STREAM, DOCUMENT).await;
    let (sink, deletion) = tokio::join!(bench.post(SINKS, S3_SINK), bench.delete(STREAM));
    assert_eq!((sink.status, deletion.status), (201, 409));
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE");
}

#[tokio::test]
async fn two_readers_at_once_both_see_the_truth_in_the_end() {
    let bench = bench();
    bench.post(STREAM, DOCUMENT).await;
    bench.finish_stacks();
    let (one, other) = tokio::join!(bench.get(STREAM), bench.get(STREAM));
    assert_eq!((one.status, other.status), (200, 200));
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE");
}
