//! The memory of streams that are ready for events.

use super::*;
use crate::fakes::{FakeStore, FakeSystem, active_stream, block_on, resource};
use crate::ingest::{Event, EventReading};
use crate::lifecycle::Status;
use std::time::Duration;

fn newest() -> StreamAddress {
    StreamAddress::Newest("refuse-trucks".parse().unwrap())
}

struct NoRules;

impl EventRules for NoRules {
    fn read(&self, _: Event<'_>) -> EventReading {
        EventReading::default()
    }
}

fn prepared(store: &Arc<FakeStore>, system: &Arc<FakeSystem>) -> PreparedIntakes {
    PreparedIntakes::new(store.clone(), store.clone(), |_| Ok(Some(Arc::new(NoRules))), system.clone())
}

#[test]
fn a_stream_is_looked_up_once_within_its_time() {
    let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
    let cache = prepared(&store, &system);
    let (record, reach) = (active_stream("refuse-trucks", "1", "waste"), Reach::Owner("waste".parse().unwrap()));
    let load = || block_on(cache.find(&reach, &StreamAddress::Newest(record.key.id.clone()))).unwrap();

    assert!(load().is_none() && load().is_none());
    assert_eq!(store.calls(), 1, "missing is remembered too");
    store.insert(record.clone());
    system.advance(MISSING_CACHE_TTL);
    assert!(load().is_some() && load().is_some());
    assert_eq!(store.calls(), 2);
    system.advance(CONFIG_CACHE_TTL - Duration::from_millis(1));
    load();
    assert_eq!(store.calls(), 2);
    system.advance(Duration::from_millis(1));
    load();
    assert_eq!(store.calls(), 3);
}

#[test]
fn a_version_that_is_coming_or_going_does_not_stop_the_one_that_works() {
    let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
    let cache = prepared(&store, &system);
    store.insert(active_stream("refuse-trucks", "1", "waste"));
    let mut coming = active_stream("refuse-trucks", "2", "waste");
    coming.stack.status = Status::CreateInProgress;
    store.insert(coming);
    let found = block_on(cache.find(&Reach::Everyone, &newest())).unwrap().unwrap();
    assert_eq!(found.record.key.version.as_str(), "1");
}

#[test]
fn a_stream_under_update_works_on() {
    let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
    let cache = prepared(&store, &system);
    store.insert(active_stream("refuse-trucks", "1", "waste"));
    let mut changing = active_stream("refuse-trucks", "2", "waste");
    changing.stack.status = Status::UpdateInProgress;
    store.insert(changing);
    for _ in 0..2 {
        let found = block_on(cache.find(&Reach::Everyone, &newest())).unwrap().unwrap();
        assert_eq!(found.record.key.version.as_str(), "2");
    }
    assert_eq!(store.calls(), 1, "and is remembered");
}

#[test]
fn one_callers_memory_is_not_anothers() {
    let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
    let cache = prepared(&store, &system);
    let record = active_stream("refuse-trucks", "1", "waste");
    store.insert(record.clone());
    let load = |owner: &str| block_on(cache.find(&Reach::Owner(owner.parse().unwrap()), &newest())).unwrap();
    assert!(load("waste").is_some());
    assert!(load("other").is_none());
}

#[test]
fn a_stream_is_found_by_its_version_and_by_its_name_for_ingest() {
    let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
    let cache = prepared(&store, &system);
    store.insert(active_stream("refuse-trucks", "1", "waste"));
    let find = |owner: &str, address: StreamAddress| {
        let reach = Reach::Owner(owner.parse().unwrap());
        block_on(cache.find(&reach, &address)).unwrap().map(|intake| intake.record.key.to_string())
    };
    let version = |version: &str| StreamAddress::Version("refuse-trucks".parse().unwrap(), version.parse().unwrap());
    assert_eq!(find("waste", version("1")).as_deref(), Some("refuse-trucks/1"));
    assert_eq!(find("waste", version("2")), None);
    let by_name = |name: &str| StreamAddress::IngestId(name.parse().unwrap());
    assert_eq!(find("waste", by_name("is-00000000")).as_deref(), Some("refuse-trucks/1"));
    assert_eq!((find("other", by_name("is-00000000")), find("waste", by_name("is-00000001"))), (None, None));
}

#[test]
fn rules_are_compiled_once_for_a_revision() {
    let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
    let cache = prepared(&store, &system);
    let mut record = active_stream("refuse-trucks", "1", "waste");
    store.insert(record.clone());
    let rules = || block_on(cache.find(&Reach::Everyone, &newest())).unwrap().unwrap().rules.clone().unwrap();
    let first = rules();
    system.advance(CONFIG_CACHE_TTL);
    assert!(Arc::ptr_eq(&first, &rules()), "looked up again, and the same");
    record.revision += 1;
    store.insert(record);
    system.advance(CONFIG_CACHE_TTL);
    assert!(!Arc::ptr_eq(&first, &rules()));
}

#[test]
fn a_rate_limit_is_found_with_its_stream() {
    let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
    let cache = prepared(&store, &system);
    store.insert_resource(resource("waste", ResourceKind::RateLimit, "slow", "local: {count: 5, interval: 1m}"));
    let mut record = active_stream("refuse-trucks", "1", "waste");
    record.document.input.rate_limit = Some("slow".parse().unwrap());
    store.insert(record);
    let limit = block_on(cache.find(&Reach::Everyone, &newest())).unwrap().unwrap().limit.clone().unwrap();
    assert_eq!((limit.name.as_str(), limit.limit.count), ("waste#slow", 5));
}

#[test]
fn rules_that_do_not_compile_let_nothing_in() {
    let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
    store.insert(active_stream("refuse-trucks", "1", "waste"));
    let cache = PreparedIntakes::new(store.clone(), store, |_| Err("no schema".into()), system);
    let fault = block_on(cache.find(&Reach::Everyone, &newest())).err().unwrap();
    assert_eq!(fault.to_string(), "rules of refuse-trucks/1 do not compile: no schema");
}
