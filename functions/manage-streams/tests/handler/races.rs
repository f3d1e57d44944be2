//! Two callers at once: each has read before either writes.

use std::sync::Arc;

use domain::access::Reach;
use domain::config::{AcceptedConfig, ConfigHistory, ConfigPage, ConfigSummary};
use domain::fakes::{FakeStore, resource};
use domain::ids::{IngestId, Owner, StreamId, StreamKey, Version};
use domain::limits::RECONCILE_AFTER;
use domain::provision::ProvisionFault;
use domain::record::StreamRecord;
use domain::resource::{Resource, ResourceKey, ResourceKind, ResourceReader, ResourceStore, ResourceUser};
use domain::stats::{Stats, StatsReader};
use domain::store::{FaultyStreams, StoreFault, StreamReader, StreamStore, StreamWriter, WriteFault};
use tokio::task::yield_now;

use crate::bench::{Bench, DOCUMENT, NEWEST, RENAMED, RETAINED, S3, S3_SINK, SINKS, STREAM, key};

/// A table that takes its time: whoever reads lets the other read, too.
struct SlowStore(Arc<FakeStore>);

#[async_trait::async_trait]
impl StreamReader for SlowStore {
    async fn load(&self, reach: &Reach, id: &StreamId, version: Option<&Version>) -> Result<Option<StreamRecord>, StoreFault> {
        let found = self.0.load(reach, id, version).await;
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

#[async_trait::async_trait]
impl ResourceReader for SlowStore {
    async fn load_resource(&self, owner: &Owner, key: &ResourceKey) -> Result<Option<Resource>, StoreFault> {
        let found = self.0.load_resource(owner, key).await;
        yield_now().await;
        found
    }
}

#[async_trait::async_trait]
impl ResourceStore for SlowStore {
    async fn list_resources(&self, owner: &Owner) -> Result<Vec<Resource>, StoreFault> {
        self.0.list_resources(owner).await
    }

    async fn create_resource(&self, resource: &Resource) -> Result<(), WriteFault> {
        yield_now().await;
        self.0.create_resource(resource).await
    }

    async fn replace_resource(&self, before: &Resource, after: &Resource) -> Result<(), WriteFault> {
        yield_now().await;
        self.0.replace_resource(before, after).await
    }

    async fn remove_resource(&self, resource: &Resource) -> Result<(), WriteFault> {
        yield_now().await;
        self.0.remove_resource(resource).await
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

#[tokio::test]
async fn of_two_racing_updates_one_is_made_and_one_is_a_conflict() {
    for (one, other) in [(RENAMED, RETAINED), (RETAINED, RENAMED), (RETAINED, RETAINED)] {
        let bench = bench();
        bench.make(STREAM, DOCUMENT).await;
        let (one, other) = tokio::join!(bench.put(STREAM, one), bench.patch(NEWEST, other));
        assert_eq!(sorted([one.status, other.status]), [200, 409]);
        bench.finish_stacks();
        let after = bench.get(STREAM).await.body;
        assert_eq!((&after["status"], &after["config_version"]), (&"ACTIVE".into(), &2.into()));
        assert!(bench.stacks.updates().len() <= 1);
    }
}

#[tokio::test]
async fn of_two_racing_updates_under_a_tag_the_one_that_is_not_made_hears_that_the_config_changed() {
    let bench = bench();
    bench.make(STREAM, DOCUMENT).await;
    let put = |document| bench.call_with(("if-match", "\"1\""), "PUT", STREAM, Some(document));
    let (one, other) = tokio::join!(put(RENAMED), put(RETAINED));
    assert_eq!(sorted([one.status, other.status]), [200, 412]);
    let late = if one.status == 412 { &one } else { &other };
    assert_eq!(late.header("etag"), Some("\"2\""), "the tag that would do now");
}

#[tokio::test]
async fn a_stream_is_not_deleted_under_an_update_nor_updated_under_its_deletion() {
    for document in [RENAMED, RETAINED] {
        let bench = bench();
        bench.make(STREAM, DOCUMENT).await;
        let (update, deletion) = tokio::join!(bench.put(STREAM, document), bench.delete(STREAM));
        assert_eq!(sorted([update.status, deletion.status]), [200, 409]);
    }
}

#[tokio::test]
async fn two_readers_at_once_heal_an_update_once() {
    let bench = bench();
    bench.make(STREAM, DOCUMENT).await;
    bench.stacks.fail_next(ProvisionFault::Transient("throttled".into()));
    bench.put(STREAM, RETAINED).await;
    bench.system.advance(RECONCILE_AFTER);
    let (one, other) = tokio::join!(bench.get(STREAM), bench.get(STREAM));
    assert_eq!((one.status, other.status), (200, 200));
    assert_eq!(bench.stacks.updates().len(), 1);
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.body["config_version"], 2);
}

#[tokio::test]
async fn of_two_racing_writers_of_a_resource_one_is_a_conflict_and_with_a_condition_a_failed_one() {
    let bench = bench();
    let (path, one, other) = ("/resources/cache/dedupe", "memory: {ttl: 1m}", "memory: {ttl: 2m}");
    let (first, second) = tokio::join!(bench.post(path, one), bench.post(path, other));
    assert_eq!(sorted([first.status, second.status]), [200, 409], "created");
    let tag = bench.get(path).await.header("etag").unwrap().to_owned();
    let (first, second) = tokio::join!(bench.post(path, "memory: {ttl: 3m}"), bench.post(path, "memory: {ttl: 4m}"));
    assert_eq!(sorted([first.status, second.status]), [200, 409], "changed");
    let (changed, missed) = tokio::join!(bench.post(path, "memory: {ttl: 5m}"), bench.call_if(&tag, "POST", path, "memory: {}"));
    assert_eq!((changed.status, missed.status), (200, 412), "changed before it was looked at");
    let tag = bench.get(path).await.header("etag").unwrap().to_owned();
    let racing = tokio::join!(bench.call_if(&tag, "POST", path, one), bench.call_if(&tag, "POST", path, other));
    assert_eq!(sorted([racing.0.status, racing.1.status]), [200, 412], "changed after it was looked at");
}

#[tokio::test]
async fn a_resource_does_not_go_from_under_a_stream_that_begins_to_name_it() {
    let bench = bench();
    let cache = resource("waste", ResourceKind::Cache, "dedupe", "memory: {}");
    let (owner, name) = (cache.owner.clone(), cache.key.clone());
    let user = ResourceUser::Stream(key("refuse-trucks", "1"));
    bench.store.insert_resource(cache);
    let begin = async { bench.store.use_resource(&owner, &name, user.clone()) };
    // The deletion has looked when the stream comes.
    let (deletion, begun) = tokio::join!(bench.delete("/resources/cache/dedupe"), begin);
    assert!(begun.is_ok());
    assert_eq!((deletion.status, &deletion.body["used_by"][0]), (409, &serde_json::json!("/streams/refuse-trucks/1")));
    // The other way round, the stream is not stored.
    bench.store.insert_resource(resource("waste", ResourceKind::Cache, "other", "memory: {}"));
    let other = ResourceKey { kind: ResourceKind::Cache, id: "other".parse().unwrap() };
    assert_eq!(bench.delete("/resources/cache/other").await.status, 204);
    assert!(matches!(bench.store.use_resource(&owner, &other, user), Err(WriteFault::Conflict)));
}
