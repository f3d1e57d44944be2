use super::*;
use crate::s3::test_objects::{self, UNREADABLE, gzip};

fn read_some(object: &[u8], chunk_size: usize, most: usize) -> (Vec<String>, Ending) {
    test_objects::read_some(EventForm::Lines, object, chunk_size, most)
}

fn read(object: &[u8], chunk_size: usize) -> (Vec<String>, Ending) {
    read_some(object, chunk_size, usize::MAX)
}

#[test]
fn lines_are_the_same_wherever_chunks_are_cut() {
    let text = "{\"a\":1}\n{\"å\":\"€\"}\n\n{\"last\":true}";
    let expected = ["{\"a\":1}", "{\"å\":\"€\"}", "", "{\"last\":true}"];
    for object in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
        for chunk_size in 1..=object.len() {
            let (lines, ending) = read(&object, chunk_size);
            assert_eq!((lines, ending), (expected.map(str::to_owned).to_vec(), Ending::Whole), "chunks of {chunk_size}");
        }
    }
}

#[test]
fn a_last_line_feed_ends_a_line_and_starts_none() {
    assert_eq!(read(b"a\nb\n", 3).0, ["a", "b"]);
    assert_eq!(read(&gzip(b"a\nb\n"), 3).0, ["a", "b"]);
    for empty in [Vec::new(), gzip(b"")] {
        assert_eq!(read(&empty, 1), (Vec::new(), Ending::Whole));
    }
    assert_eq!(read(b"x", 1), (vec!["x".to_owned()], Ending::Whole), "too short to be gzip");
}

#[test]
fn gzip_members_are_one_text() {
    let object = [gzip(b"a\nb"), gzip(b""), gzip(b"c\nd\n")].concat();
    for chunk_size in 1..=object.len() {
        assert_eq!(read(&object, chunk_size), (["a", "bc", "d"].map(str::to_owned).to_vec(), Ending::Whole), "chunks of {chunk_size}");
    }
}

#[test]
fn a_visitor_that_has_seen_enough_is_not_called_again() {
    let many = "line\n".repeat(100_000);
    for object in [many.as_bytes().to_vec(), gzip(many.as_bytes())] {
        for chunk_size in [1, 7, 1_000_000] {
            let (lines, ending) = read_some(&object, chunk_size, 3);
            assert_eq!((lines.len(), ending), (3, Ending::EnoughSeen));
        }
    }
}

#[test]
fn a_damaged_object_gives_the_lines_before_the_damage() {
    let whole = gzip("{\"n\":1}\n".repeat(1_000).as_bytes());
    for object in [whole[..whole.len() - 1].to_vec(), [&whole[..], b"no gzip"].concat()] {
        for chunk_size in [1, 100, 1_000_000] {
            let (lines, ending) = read(&object, chunk_size);
            assert_eq!(lines.len(), 1_001);
            assert_eq!((lines[999].as_str(), lines[1_000].as_str()), ("{\"n\":1}", UNREADABLE));
            assert_eq!(ending, Ending::Damaged("its compression is broken"));
        }
    }
    let (lines, ending) = read(&[0x1f, 0x8b, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0], 5);
    assert_eq!((lines, ending), (vec![UNREADABLE.to_owned()], Ending::Damaged("its compression is broken")));
}

#[test]
fn a_line_that_is_not_text_harms_no_other() {
    assert_eq!(read(b"a\n\xff\xfe\nb", 2).0, ["a", UNREADABLE, "b"]);
}

#[test]
fn an_overlong_line_is_one_unreadable_line() {
    let longest = "x".repeat(MAX_PIECE_BYTES);
    for (line, is_readable) in [(longest.clone(), true), (format!("{longest}x"), false), (longest.repeat(3), false)] {
        let object = format!("a\n{line}\nb\n{line}");
        for chunk_size in [1_000, usize::MAX] {
            let shown = if is_readable { line.as_str() } else { UNREADABLE };
            assert!(read(object.as_bytes(), chunk_size).0 == ["a", shown, "b", shown], "{} bytes, chunks of {chunk_size}", line.len());
        }
    }
}

#[test]
fn an_object_beyond_its_limit_is_left_there() {
    let mut seen = Vec::new();
    let mut visit = |line: Line<'_>| {
        seen.push(line == Line::Unreadable);
        ControlFlow::Continue(())
    };
    let cutter = Cutter::new(EventForm::Lines, &mut visit, 10);
    let mut content = Content { form: Form::Gzip(Box::new(MultiGzDecoder::new(cutter))), ending: None };
    // Each member is decoded by itself: the third one is over.
    for _ in 0..3 {
        content.push(&gzip(b"abc\n"));
    }
    assert_eq!(content.finish(), Ending::Damaged("it is too large"));
    assert_eq!(seen, [false, false, true]);
}

#[test]
fn a_bomb_costs_no_memory_to_speak_of() {
    // 64 MiB of one line: what is kept stays under the limit of a line.
    let mut count = 0;
    let mut visit = |line: Line<'_>| {
        assert_eq!(line, Line::Unreadable);
        count += 1;
        ControlFlow::Continue(())
    };
    let mut content = Content::new(EventForm::Lines, &mut visit);
    for chunk in gzip(&vec![b'x'; 64 * 1024 * 1024]).chunks(1_024) {
        content.push(chunk);
        if let Form::Gzip(decoder) = &content.form
            && let Pieces::Lines(lines) = &decoder.get_ref().pieces
        {
            assert!(lines.held() <= 2 * MAX_PIECE_BYTES);
        }
    }
    assert_eq!(content.finish(), Ending::Whole);
    assert_eq!(count, 1);
}
