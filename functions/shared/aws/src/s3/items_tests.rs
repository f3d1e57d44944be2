use std::ops::ControlFlow;

use ciborium::Value;
use domain::history::EventForm;
use proptest::prelude::*;

use super::*;
use crate::s3::test_objects::{self, UNREADABLE, gzip};

fn read_some(object: &[u8], chunk_size: usize, most: usize) -> (Vec<String>, Ending) {
    test_objects::read_some(EventForm::Cbor, object, chunk_size, most)
}

fn read(object: &[u8]) -> (Vec<String>, Ending) {
    read_some(object, usize::MAX, usize::MAX)
}

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// `{"n": …}`
fn event(number: i64) -> Vec<u8> {
    cbor(&Value::Map(vec![(Value::Text("n".to_owned()), Value::from(number))]))
}

/// An item of exactly this many bytes.
fn text_of(bytes: usize) -> Vec<u8> {
    [&[0x7a][..], &u32::try_from(bytes - 5).unwrap().to_be_bytes(), &vec![b'x'; bytes - 5]].concat()
}

#[test]
fn items_are_the_same_wherever_chunks_are_cut() {
    let sequence =
        [event(1), b"\xa1\x61a\x9f\x01\x82\x02\x03\xff".to_vec(), b"\xbf\x61b\x7f\x61x\x60\x62\xc3\xa4\xff\xff".to_vec(), event(-70_000)];
    let expected = ["{\"n\":1}", "{\"a\":[1,[2,3]]}", "{\"b\":\"xä\"}", "{\"n\":-70000}"].map(str::to_owned).to_vec();
    for object in [sequence.concat(), gzip(&sequence.concat()), sequence.iter().flat_map(|item| gzip(item)).collect()] {
        for chunk_size in 1..=object.len() {
            assert_eq!(read_some(&object, chunk_size, usize::MAX), (expected.clone(), Ending::Whole), "chunks of {chunk_size}");
        }
    }
    for empty in [Vec::new(), gzip(b"")] {
        assert_eq!(read(&empty), (Vec::new(), Ending::Whole));
    }
}

#[test]
fn what_json_does_not_have_is_written_as_what_it_has() {
    let cases: [(&[u8], &str); 13] = [
        (b"\x43\x01\x02\xff", "\"AQL/\""),
        (b"\x5f\x41\x01\x42\x02\xff\xff", "\"AQL/\""),
        (b"\xc0\x74\x32\x30\x31\x33\x2d\x30\x33\x2d\x32\x31\x54\x32\x30\x3a\x30\x34\x3a\x30\x30\x5a", "\"2013-03-21T20:04:00Z\""),
        (b"\xa3\x01\x02\x41\x00\x03\xf5\xf6", "{\"1\":2,\"AA==\":3,\"true\":null}"),
        (b"\xf9\x7e\x00", "null"),
        (b"\xf9\x7c\x00", "null"),
        (b"\xf7", "null"),
        (b"\xf8\xff", "null"),
        (b"\xf9\x3c\x00", "1.0"),
        (b"\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a", "1.1"),
        (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", "-18446744073709551616"),
        (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
        (b"\x64\x22\x0a\xc3\xa4", "\"\\\"\\nä\""),
    ];
    for (item, json) in cases {
        assert_eq!(read(item), (vec![json.to_owned()], Ending::Whole));
    }
}

#[test]
fn a_visitor_that_has_seen_enough_is_not_called_again() {
    let many = event(7).repeat(100_000);
    for object in [many.clone(), gzip(&many)] {
        for chunk_size in [1, 7, 1_000_000] {
            let (lines, ending) = read_some(&object, chunk_size, 3);
            assert_eq!((lines.len(), ending), (3, Ending::EnoughSeen));
        }
    }
}

#[test]
fn an_item_that_is_well_formed_and_means_nothing_harms_no_other() {
    // Text that is not UTF-8, a map with a key alone, text in pieces of bytes, a list for a key.
    for bad in [&b"\x61\xff"[..], b"\xbf\x01\xff", b"\x7f\x41\x01\xff", b"\xa1\x82\x01\x61\x61\x05"] {
        let object = [&event(1), bad, &event(2)].concat();
        assert_eq!(read(&object), (["{\"n\":1}", UNREADABLE, "{\"n\":2}"].map(str::to_owned).to_vec(), Ending::Whole), "{bad:?}");
    }
}

#[test]
fn a_damaged_object_gives_the_items_before_the_damage() {
    let no_cbor = Ending::Damaged("it is no sequence of CBOR items");
    let no_end = Ending::Damaged("its last CBOR item has no end");
    let deep = b"\x81".repeat(MAX_OPEN + 1);
    let cases: [(&[u8], Ending); 9] = [
        (b"\xff", no_cbor),
        (b"\x1c", no_cbor),
        (b"\x81\xff", no_cbor),
        (b"\x7f\x01\xff", no_cbor),
        (&deep, no_cbor),
        (b"\xa1\x61n", no_end),
        (b"\x1a\x00", no_end),
        (b"{\"n\":1}\n{\"n\":2}\n", no_end),
        (b"\x9f\x01", no_end),
    ];
    for (rest, ending) in cases {
        for chunk_size in [1, 2, usize::MAX] {
            let read = read_some(&[&event(1), rest].concat(), chunk_size, usize::MAX);
            assert_eq!(read, (["{\"n\":1}", UNREADABLE].map(str::to_owned).to_vec(), ending), "{rest:?}");
        }
    }
    let whole = gzip(&event(1).repeat(1_000));
    let (lines, ending) = read(&whole[..whole.len() - 1]);
    assert_eq!((lines.len(), lines[1_000].as_str(), ending), (1_001, UNREADABLE, Ending::Damaged("its compression is broken")));
}

#[test]
fn an_overlong_item_is_one_unreadable_line() {
    for (bytes, is_readable) in [(MAX_PIECE_BYTES, true), (MAX_PIECE_BYTES + 1, false), (3 * MAX_PIECE_BYTES, false)] {
        let object = [event(1), text_of(bytes), event(2), text_of(bytes)].concat();
        for chunk_size in [1_000, usize::MAX] {
            let (lines, ending) = read_some(&object, chunk_size, usize::MAX);
            assert_eq!((lines.len(), ending), (4, Ending::Whole));
            assert_eq!(
                (lines[1] != UNREADABLE, lines[3] != UNREADABLE),
                (is_readable, is_readable),
                "{bytes} bytes, chunks of {chunk_size}"
            );
            assert_eq!((lines[0].as_str(), lines[2].as_str()), ("{\"n\":1}", "{\"n\":2}"));
        }
    }
}

#[test]
fn a_bomb_costs_no_memory_to_speak_of() {
    let mut visit = |_: Line<'_>| ControlFlow::Continue(());
    let mut audience = Audience::new(&mut visit);
    let mut items = ItemCutter::default();
    // One array of 64 Mi numbers, and a text that is longer than all memory.
    let chunk = vec![0_u8; 64 * 1024];
    items.take(b"\x9a\x04\x00\x00\x00", &mut audience).unwrap();
    for _ in 0..1_024 {
        items.take(&chunk, &mut audience).unwrap();
        assert!(items.held() <= 3 * MAX_PIECE_BYTES, "{}", items.held());
    }
    items.take(b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff", &mut audience).unwrap();
    for _ in 0..1_024 {
        items.take(&chunk, &mut audience).unwrap();
        assert!(items.held() <= 3 * MAX_PIECE_BYTES, "{}", items.held());
    }
    assert!(items.end(&mut audience).is_err());
}

fn any_item() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Into::into),
        "\\PC{0,30}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 30, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..30).prop_map(Into::into),
            prop::collection::hash_map("\\PC{0,8}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn json_that_was_written_as_cbor_is_read_as_json(items in prop::collection::vec(any_item(), 0..5), chunk_size in 1_usize..100) {
        let object: Vec<u8> = items.iter().flat_map(|item| cbor(&Value::serialized(item).unwrap())).collect();
        let (lines, ending) = read_some(&object, chunk_size, usize::MAX);
        prop_assert_eq!(ending, Ending::Whole);
        prop_assert_eq!(lines, items.iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_never_panic(object in prop::collection::vec(any::<u8>(), 0..200), chunk_size in 1_usize..50) {
        let (lines, ending) = read_some(&object, chunk_size, usize::MAX);
        prop_assert_eq!(read_some(&object, usize::MAX, usize::MAX), (lines, ending), "chunks change nothing");
    }
}
