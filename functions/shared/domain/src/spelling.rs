//! How a text is spelled in the document around it, so that each of its characters has a place there: in a YAML block, between quotes, or
//! plain.

use std::iter::Peekable;
use std::str::Chars;

use crate::text_tree::Place;

/// A text as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelling {
    /// Where what was written begins, its quote included.
    begin: Place,
    /// What was written, its quotes included, a block's header not.
    written: Box<str>,
    quotes: Quotes,
}

/// What encloses a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quotes {
    /// Nothing: a plain text, or a block.
    None,
    /// `'`, which is doubled within.
    Single,
    /// `"`, with escapes within.
    Double,
}

impl Spelling {
    /// A text that was written so, from `begin` on.
    pub fn new(begin: Place, written: &str, quotes: Quotes) -> Self {
        Self { begin, written: written.into(), quotes }
    }

    /// Where the character at a byte of the text stands; the end of the text counts as a character.
    ///
    /// A document folds white space and nothing else: every other character of the text stands in what was written, in the same order.
    pub fn place_of(&self, text: &str, offset: usize) -> Place {
        let mut pen = Pen { rest: self.written.chars().peekable(), place: self.begin };
        if self.quotes != Quotes::None {
            pen.step();
        }
        for (at, letter) in text.char_indices() {
            pen.settle(letter, self.quotes);
            if at >= offset {
                break;
            }
            match self.quotes {
                Quotes::None => pen.pass(letter),
                Quotes::Single => pen.pass_single(letter),
                Quotes::Double => pen.pass_double(letter),
            }
        }
        pen.place
    }
}

/// Goes over what was written.
struct Pen<'w> {
    rest: Peekable<Chars<'w>>,
    place: Place,
}

impl Pen<'_> {
    /// Goes over a character, or a line break.
    fn step(&mut self) {
        let Some(letter) = self.rest.next() else { return };
        if letter == '\r' {
            self.rest.next_if_eq(&'\n');
        }
        match letter {
            '\n' | '\r' => self.place = Place { line: self.place.line + 1, column: 1 },
            _ => self.place.column += 1,
        }
    }

    fn skip_white(&mut self) {
        while self.rest.peek().is_some_and(|letter| letter.is_whitespace()) {
            self.step();
        }
    }

    /// Goes over what was folded away before a letter.
    fn settle(&mut self, letter: char, quotes: Quotes) {
        loop {
            if !letter.is_whitespace() {
                self.skip_white();
            }
            let is_escaped = quotes == Quotes::Double && self.rest.peek() == Some(&'\\');
            match is_escaped.then(|| escape(self.rest.clone())) {
                // An escaped line break means nothing.
                Some((length, None)) => {
                    (0..length).for_each(|_| self.step());
                    self.skip_white();
                }
                _ => return,
            }
        }
    }

    /// Passes one letter of the text. White space that was folded stands for all that was written in its place.
    fn pass(&mut self, letter: char) {
        let next = self.rest.peek().copied();
        let is_line_break = letter == '\n' && matches!(next, Some('\n' | '\r'));
        if !letter.is_whitespace() || next == Some(letter) || is_line_break {
            self.step();
        } else {
            self.skip_white();
        }
    }

    fn pass_single(&mut self, letter: char) {
        self.pass(letter);
        if letter == '\'' {
            self.step();
        }
    }

    fn pass_double(&mut self, letter: char) {
        if self.rest.peek() != Some(&'\\') {
            return self.pass(letter);
        }
        let (length, meaning) = escape(self.rest.clone());
        // Otherwise it is white space that was folded into what has been passed.
        if meaning == Some(letter) {
            (0..length).for_each(|_| self.step());
        }
    }
}

/// How many letters an escape takes, its backslash included, and what it means
/// (<https://yaml.org/spec/1.2.2/#57-escaped-characters>). JSON's are among them.
fn escape(mut rest: Peekable<Chars<'_>>) -> (usize, Option<char>) {
    rest.next();
    let letter = rest.next();
    let digits = match letter {
        Some('x') => 2,
        Some('u') => 4,
        Some('U') => 8,
        _ => 0,
    };
    if digits > 0 {
        let code = u32::from_str_radix(&rest.take(digits).collect::<String>(), 16).ok();
        return (2 + digits, Some(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)));
    }
    let meaning = match letter {
        Some('0') => Some('\0'),
        Some('a') => Some('\x07'),
        Some('b') => Some('\x08'),
        Some('t' | '\t') => Some('\t'),
        Some('n') => Some('\n'),
        Some('v') => Some('\x0b'),
        Some('f') => Some('\x0c'),
        Some('r') => Some('\r'),
        Some('e') => Some('\x1b'),
        Some('N') => Some('\u{85}'),
        Some('_') => Some('\u{a0}'),
        Some('L') => Some('\u{2028}'),
        Some('P') => Some('\u{2029}'),
        Some('\n' | '\r') => None,
        other => other,
    };
    (2, meaning)
}

#[cfg(test)]
mod tests {
    use crate::text_tree::Node;

    /// The places of every letter of the text at `a`.
    fn places(document: &str) -> Vec<(char, usize, usize)> {
        let tree = Node::parse(document).unwrap();
        let node = tree.at(&["a"]).unwrap();
        let text = node.text().unwrap();
        let of = |(at, letter): (usize, char)| {
            let place = node.place_in(at);
            (letter, place.line, place.column)
        };
        text.char_indices().map(of).collect()
    }

    /// Each letter of the text that is no white space stands in the document where it is said to stand.
    fn assert_written_there(document: &str) {
        let lines: Vec<Vec<char>> = document.lines().map(|line| line.chars().collect()).collect();
        let places = places(document);
        assert!(!places.is_empty(), "{document:?}");
        for (letter, line, column) in places {
            let there = lines[line - 1].get(column - 1).copied();
            assert!(
                letter.is_whitespace() || there == Some(letter),
                "{document:?}: {letter:?} at ({line},{column}), where {there:?} stands"
            );
        }
    }

    #[test]
    fn every_letter_of_a_text_stands_where_it_was_written() {
        for document in [
            "a: plain text",
            "a: plain text\n  that goes on\n\n  and on\nb: 1",
            "a: |\n  .b = 1\n  .c = 2\n",
            "a: |-\n\n\n    .b = 1\n      .deeper = 2\n\n    .c = 3\n\n",
            "a: |2\n   one more space\n  æøå 🚛 x\n",
            "a: >\n  folded into\n  one line\n\n  and another\n    more\n  less\n",
            "a: 'single it''s quoted'\n",
            "a: 'single\n  over lines'\n",
            "a: \"double quoted\"\n",
            "a: \"double\n   over\n\n   lines\"\n",
            "a: \"joined \\\n   lines\"\n",
            "{\"b\": [1], \"a\": \".b = 1\"}",
            "{\"a\":\n  \"x\"}",
        ] {
            assert_written_there(document);
            assert_written_there(&document.replace('\n', "\r\n"));
        }
    }

    #[test]
    fn an_escape_stands_for_its_letter() {
        let places = places(r#"{"a": ".b = \"x\"\n.c\t= 1 \u00e6\ud83d\ude9b."}"#);
        let place = |letter: char| places.iter().find(|(found, ..)| *found == letter).map(|(_, line, column)| (*line, *column));
        assert_eq!(place('.'), Some((1, 8)));
        assert_eq!(place('"'), Some((1, 13)));
        assert_eq!(place('\n'), Some((1, 18)));
        assert_eq!(place('c'), Some((1, 21)));
        assert_eq!(place('æ'), Some((1, 28)));
    }

    #[test]
    fn a_letter_of_a_block_stands_on_its_own_line() {
        let places = places("x: 1\na: |\n\n    ab\n\n     c\n");
        assert_eq!(
            places.iter().filter(|(letter, ..)| !letter.is_whitespace()).collect::<Vec<_>>(),
            [&('a', 4, 5), &('b', 4, 6), &('c', 6, 6)]
        );
    }
}
