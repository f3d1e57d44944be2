//! How deep a program nests, told from its source alone.
//!
//! The compiler takes twice the time for each call within a call, and goes down its stack for each operator of an expression: a few hundred
//! bytes can keep it busy for hours, and some thousand end the process. So what nests too deep never reaches it.

use crate::program::Diagnostic;

/// Brackets within brackets. Ours: twelve take the compiler some milliseconds, twenty take seconds.
const MAX_BRACKETS: usize = 12;
/// Signs of operators in one expression. Ours: each may cost 8 KiB of a stack of 2 MiB.
const MAX_OPERATORS: usize = 200;
/// Steps of one path. As deep as an event's JSON may nest.
const MAX_STEPS: usize = domain::limits::MAX_JSON_DEPTH;

/// The greatest index in a path. Ours: to assign to it makes a list of that length.
const MAX_INDEX: u64 = 1_000;

/// What is too deep for the compiler, if something is.
pub(crate) fn too_deep(source: &str) -> Option<Diagnostic> {
    let mut reader = Reader { source, at: 0, last: '\n', operators: 0, outer: Vec::new(), steps: 0 };
    while let Some(letter) = reader.next() {
        let offset = reader.at - letter.len_utf8();
        reader.take(letter);
        let fault = if reader.outer.len() > MAX_BRACKETS {
            Some(format!("expected at most {MAX_BRACKETS} brackets within each other, got more: use variables"))
        } else if reader.operators > MAX_OPERATORS {
            Some(format!("expected at most {MAX_OPERATORS} signs of operators in one expression, got more: use variables"))
        } else if letter == '[' && reader.index_after().is_some_and(|index| index > MAX_INDEX) {
            Some(format!("expected an index of at most {MAX_INDEX}: a list is made as long as that"))
        } else if reader.steps > MAX_STEPS {
            Some(format!("expected a path of at most {MAX_STEPS} steps, got a longer one"))
        } else {
            None
        };
        if let Some(message) = fault {
            return Some(Diagnostic { offset, message, is_certain: true });
        }
    }
    None
}

struct Reader<'s> {
    source: &'s str,
    at: usize,
    /// The last letter that is no white space.
    last: char,
    /// Signs of operators in the expression that is read, those around it included.
    operators: usize,
    /// How many there were where each open bracket began.
    outer: Vec<usize>,
    steps: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn take(&mut self, letter: char) {
        if !matches!(letter, '.' | '[' | ']' | '_' | '@') && !letter.is_alphanumeric() {
            self.steps = 0;
        }
        match letter {
            '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
            '"' => self.skip_text('"'),
            '\'' => self.skip_text('\''),
            '(' | '[' | '{' => {
                self.outer.push(self.operators);
                self.steps += usize::from(letter == '[');
            }
            ')' | ']' | '}' => self.operators = self.outer.pop().unwrap_or(0),
            ',' | ';' => self.begin_expression(),
            '\n' if !self.goes_on() => self.begin_expression(),
            '.' => self.steps += 1,
            'e' if self.is_word("lse") => self.operators += 2,
            'r' if self.is_word("eturn") => self.operators += 1,
            'a' if self.is_word("bort") => self.operators += 1,
            'i' if self.is_word("f") => self.operators += 1,
            _ if is_operator(letter) => self.operators += 1,
            _ => {}
        }
        if !letter.is_whitespace() {
            self.last = letter;
        }
    }

    /// The number that stands next, without its sign; one that is too long counts as the greatest.
    fn index_after(&self) -> Option<u64> {
        let rest = self.rest().trim_start().trim_start_matches('-');
        let digits = &rest[..rest.find(|letter: char| !letter.is_ascii_digit() && letter != '_').unwrap_or(rest.len())];
        let is_index = !digits.is_empty() && rest[digits.len()..].trim_start().starts_with(']');
        is_index.then(|| digits.replace('_', "").parse().unwrap_or(u64::MAX))
    }

    /// Whether the letter that was read begins a word that ends so.
    fn is_word(&self, rest: &str) -> bool {
        let is_in_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let before = self.source[..self.at].chars().rev().nth(1);
        let after = self.rest().strip_prefix(rest).map(|after| after.chars().next());
        !before.is_some_and(is_in_word) && after.is_some_and(|after| !after.is_some_and(is_in_word))
    }

    fn begin_expression(&mut self) {
        self.operators = self.outer.last().copied().unwrap_or(0);
    }

    /// Whether an expression goes on after the line break that was read.
    fn goes_on(&self) -> bool {
        let next = self.rest().trim_start();
        is_operator(self.last) || next.starts_with(is_operator) || next.starts_with("else")
    }

    /// Passes a text between quotes. Each of its templates is an operator.
    fn skip_text(&mut self, quote: char) {
        let end = text_end(self.source, self.at, quote);
        self.operators += self.source[self.at..end].matches("{{").count();
        self.at = end;
    }
}

/// Where a program goes on behind a text between quotes whose content begins at `at`.
pub(crate) fn text_end(source: &str, at: usize, quote: char) -> usize {
    let mut letters = source[at..].char_indices();
    while let Some((offset, letter)) = letters.next() {
        if letter == quote {
            return at + offset + letter.len_utf8();
        } else if letter == '\\' {
            letters.next();
        }
    }
    source.len()
}

fn is_operator(letter: char) -> bool {
    "+-*/%<>=!|&?".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(source: &str) -> Option<String> {
        too_deep(source).map(|found| found.message)
    }

    #[test]
    fn programs_that_people_write_are_not_too_deep() {
        let long = ".a = .b.c.d + 1 # don't count (((((((((((((((((\n.e = \"((((((((((((((\"\n.f = r'((((((((((((((('\n".repeat(100);
        let wide = format!(".x = [{}]", "{\"a\": -1, \"b\": !true},".repeat(200));
        let chain = format!(".x = 1{}", " + 1".repeat(150));
        for good in [long, wide, chain, "if .a { if .b { .c = {\"d\": [to_string(downcase(string!(.e)))]} } }".to_owned()] {
            assert_eq!(fault(&good), None);
        }
    }

    #[test]
    fn what_would_take_the_compiler_too_long_or_too_deep_is_told() {
        let bad = |source: String| assert!(fault(&source).is_some(), "{source}");
        bad(format!("{}1{}", "to_string(".repeat(13), ")".repeat(13)));
        bad(format!("{}true", "!".repeat(201)));
        bad(format!("1{}", "+1".repeat(201)));
        bad(format!("1{}", " +\n1".repeat(201)));
        bad(format!("if .a {{1}}{}", " else if .a {1}".repeat(101)));
        bad(format!("\"{}\"", "{{ a }}".repeat(201)));
        bad(format!("{}1{}", "(1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+".repeat(11), ")".repeat(11)));
        bad(format!(".a{} = 1", ".a".repeat(64)));
        bad(format!(".a{}", "[0]".repeat(65)));
        bad(format!("{}1", "return ".repeat(201)));
        bad(format!("{}\"a\"", "abort ".repeat(201)));
        bad(".a[1001] = 1".to_owned());
        bad(".a[-99999999999] = 1".to_owned());
    }
}
