//! What the function does with a stream's processors.

use domain::fakes::{active_stream, resource};
use domain::input::Format;
use domain::limits::CONFIG_CACHE_TTL;
use domain::resource::ResourceKind;
use domain::store::StreamWriter;
use domain::system::System;
use serde_json::{Value, json};

use crate::batches::{all_done, batch, batch_with};
use crate::bench::{Bench, DEAD_LETTERS};

/// Gives the stream other processors.
async fn declare(bench: &Bench, processors: Value) {
    let key = active_stream("refuse-trucks", "1", "waste").key;
    let before = bench.store.stored(&key).unwrap();
    let mut after = before.clone();
    after.document.pipeline = serde_json::from_value(json!({"processors": processors})).unwrap();
    after.revision += 1;
    bench.store.replace(&before, &after).await.unwrap();
}

#[tokio::test]
async fn processors_run_as_the_config_says_and_follow_within_the_cache_time() {
    let bench = Bench::new();
    declare(&bench, json!([{"mapping": ".truck = upcase!(.truck)"}, {"filter": ".litres != 120"}])).await;
    assert_eq!(bench.send(&batch()).await.unwrap(), all_done());
    let trucks = |lines: Vec<(String, String)>| {
        let truck = |(line, _): &(String, String)| serde_json::from_str::<Value>(line).unwrap()["truck"].as_str().unwrap().to_owned();
        lines.iter().map(truck).collect::<Vec<_>>()
    };
    assert_eq!(trucks(bench.forwarded()), ["RUBBISH 17", "GLASS 3 Ø"]);
    let counters = bench.stats().counters;
    assert_eq!((counters.received, counters.forwarded, counters.filtered), (3, 2, 1));

    bench.store.insert_resource(resource("waste", ResourceKind::Processor, "cargo", "mapping: .litres = 1"));
    declare(&bench, json!([{"resource": "cargo"}])).await;
    bench.system.advance(CONFIG_CACHE_TTL);
    bench.send(&batch()).await.unwrap();
    assert!(bench.forwarded()[2..].iter().all(|(line, _)| line.contains(r#""litres":1,"#)), "{:?}", bench.forwarded());
    bench.store.insert_resource(resource("waste", ResourceKind::Processor, "cargo", "filter: 'false'"));
    bench.send(&batch()).await.unwrap();
    assert_eq!(bench.forwarded().len(), 8, "within the cache time the old one runs");
    bench.system.advance(CONFIG_CACHE_TTL);
    bench.send(&batch()).await.unwrap();
    assert_eq!(bench.forwarded().len(), 8, "then the new one drops all");

    declare(&bench, json!([{"mapping": ".truck = to_int!(.truck)"}])).await;
    bench.system.advance(CONFIG_CACHE_TTL);
    bench.send(&batch()).await.unwrap();
    let letters = bench.letters.stored(DEAD_LETTERS);
    assert_eq!((letters.len(), letters[0].reason.code.as_str()), (3, "mapping"));
    assert_eq!(letters[0].path.as_deref(), Some("pipeline.processors[0].mapping"));
    assert!(letters[0].reason.detail.starts_with("function call error"), "{}", letters[0].reason.detail);
}

#[tokio::test]
async fn a_batch_that_comes_again_is_known_by_its_keys() {
    for (kind, in_table) in [("dynamodb", true), ("memory", false)] {
        let bench = Bench::new();
        bench.store.insert_resource(resource("waste", ResourceKind::Cache, "seen", &format!("{kind}: {{ttl: 1h}}")));
        declare(&bench, json!([{"dedupe": {"key": "$.truck", "cache": "seen"}}])).await;
        for _ in 0..3 {
            assert_eq!(bench.send(&batch()).await.unwrap(), all_done());
        }
        let counters = bench.stats().counters;
        assert_eq!((bench.forwarded().len(), counters.forwarded, counters.deduplicated), (3, 3, 6), "{kind}");
        assert_eq!(bench.store.seen.count(), if in_table { 3 } else { 0 });
    }
}

#[tokio::test]
async fn a_rate_limit_slows_the_batch_down() {
    let bench = Bench::new();
    bench.store.insert_resource(resource("waste", ResourceKind::RateLimit, "slow", "local: {count: 1, interval: 10s}"));
    declare(&bench, json!([{"rate_limit": "slow"}])).await;
    let before = bench.system.now();
    assert_eq!(bench.send(&batch()).await.unwrap(), all_done());
    assert_eq!((bench.system.now() - before).whole_seconds(), 20);
}

#[tokio::test]
async fn a_program_that_panics_or_fails_is_one_event_s_dead_letter() {
    let bench = Bench::new();
    declare(&bench, json!([{"mapping": "assert!(.litres != 120, message: \"too round\")"}])).await;
    assert_eq!(bench.send(&batch()).await.unwrap(), all_done());
    let letters = bench.letters.stored(DEAD_LETTERS);
    assert_eq!((bench.forwarded().len(), letters.len()), (2, 1));
    assert!(letters[0].reason.detail.contains("too round"), "{}", letters[0].reason.detail);
}

#[tokio::test]
async fn xml_becomes_one_cbor_map_a_record() {
    let bench = Bench::new();
    let mut record = active_stream("refuse-trucks", "1", "waste");
    record.document.input.format = Format::Xml;
    bench.store.insert(record);
    let xml = b"<trucks><record><name>rubbish 17</name></record><record><name>glass 3</name></record></trucks>";
    assert_eq!(bench.send(&batch_with(1, xml)).await.unwrap(), all_done());
    let lines: Vec<String> = bench.forwarded().into_iter().map(|(line, _)| line).collect();
    let map =
        |name: &str| String::from_utf8_lossy(&[&b"\xa1\x64name"[..], &[0x60 + name.len() as u8], name.as_bytes()].concat()).into_owned();
    assert_eq!(lines, [map("rubbish 17"), map("glass 3")]);
    let letters = bench.letters.stored(DEAD_LETTERS);
    assert_eq!((letters.len(), letters[0].content_type.as_str(), letters[0].reason.code.as_str()), (2, "application/xml", "undecodable"));
}
