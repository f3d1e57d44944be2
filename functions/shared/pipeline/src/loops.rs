//! Loops that end: every pass through the body of one is counted against what a program may take.
//!
//! VRL has no limits of its own. So each closure of a program that runs begins with a call that looks at the clock and at the memory of the
//! process, and ends the program when its event has taken too much: that is the event's failure, and no other's. What stands between two such
//! calls is bounded by the length of a program alone.

use std::cell::Cell;
use std::time::{Duration, Instant};

use vrl::compiler::prelude::*;

use crate::depth::text_end;

/// The time of one event in programs with loops. Ours: a chunk of a batch gets five seconds.
const MAX_TIME: Duration = Duration::from_secs(1);

/// By how much the memory of the process may grow meanwhile, in bytes. Ours: a quarter of the function's.
const MAX_GROWTH: u64 = 128 * 1024 * 1024;

/// How long a pass goes on before memory is looked at again: what is copied in this time is not much.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// The stack of a program with loops, in bytes: in its time it can nest an event deeper than the stack of a thread is.
const STACK: usize = 64 * 1024 * 1024;

/// The bytes of a page of memory, as `/proc` counts it on the machines of Lambda.
const PAGE: u64 = 4_096;

/// What a closure calls first. No program can call it by itself.
const STEP: &str = "loop_step";

thread_local! {
    static METER: Cell<Meter> = Cell::new(Meter::started());
}

/// What the event that is processed has taken.
#[derive(Debug, Clone, Copy)]
struct Meter {
    began: Instant,
    looked: Instant,
    /// The memory of the process when it was first looked at.
    memory: Option<u64>,
    /// What there was too much of, if so.
    exceeded: Option<Exceeded>,
}

#[derive(Debug, Clone, Copy)]
enum Exceeded {
    Time,
    Memory,
}

impl Exceeded {
    fn message(self) -> String {
        match self {
            Self::Time => format!("expected an event whose loops end within {} s", MAX_TIME.as_secs()),
            Self::Memory => format!("expected an event whose loops take at most {} MB", MAX_GROWTH / 1024 / 1024),
        }
    }
}

impl Meter {
    fn started() -> Self {
        let now = Instant::now();
        Self { began: now, looked: now, memory: None, exceeded: None }
    }

    fn step(&mut self) -> Option<Exceeded> {
        let now = Instant::now();
        if self.exceeded.is_none() && now - self.began > MAX_TIME {
            self.exceeded = Some(Exceeded::Time);
        }
        if self.exceeded.is_some() || self.memory.is_some() && now - self.looked < LOOK_EVERY {
            return self.exceeded;
        }
        self.looked = now;
        let memory = resident()?;
        let before = *self.memory.get_or_insert(memory);
        self.exceeded = (memory.saturating_sub(before) > MAX_GROWTH).then_some(Exceeded::Memory);
        self.exceeded
    }
}

/// The memory of the process, in bytes, where the system tells (<https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html>).
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}

/// Begins to count for an event.
pub(crate) fn begin_event() {
    METER.set(Meter::started());
}

/// Checks that the event has not taken too much.
///
/// # Errors
/// What it has taken too much of.
pub(crate) fn check() -> Result<(), String> {
    METER.get().exceeded.map_or(Ok(()), |exceeded| Err(exceeded.message()))
}

/// Runs something that has loops on a stack that its data cannot overflow. What it leaves must be shallow.
pub(crate) fn on_large_stack<T>(run: impl FnOnce() -> T) -> T {
    stacker::grow(STACK, run)
}

/// Puts the call into every closure of a program; `None` when it has none.
pub(crate) fn with_steps(source: &str) -> Option<String> {
    let mut stepped = String::with_capacity(source.len());
    let (mut at, mut copied) = (0, 0);
    let mut expects = Expects::Arrow;
    while let Some(letter) = source[at..].chars().next() {
        let next = at + letter.len_utf8();
        at = match letter {
            '#' => source[next..].find('\n').map_or(source.len(), |length| next + length),
            '"' | '\'' => text_end(source, next, letter),
            _ => next,
        };
        expects = match (expects, letter) {
            (Expects::Arrow, '-') if source[next..].starts_with('>') => Expects::Opening,
            (Expects::Opening, '|') => Expects::Closing,
            (Expects::Closing, '|') => Expects::Body,
            (Expects::Body, '{') => {
                stepped.push_str(&source[copied..next]);
                stepped.push_str(&format!(" {STEP}();"));
                copied = next;
                Expects::Arrow
            }
            (expects, _) => expects,
        };
    }
    stepped.push_str(&source[copied..]);
    (copied > 0).then_some(stepped)
}

/// What comes next of a closure: `-> |a, b| {`.
#[derive(Clone, Copy)]
enum Expects {
    Arrow,
    Opening,
    Closing,
    Body,
}

/// The function that closures call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoopStep;

impl Function for LoopStep {
    fn identifier(&self) -> &'static str {
        STEP
    }

    fn usage(&self) -> &'static str {
        "Counts a pass through a loop."
    }

    fn category(&self) -> &'static str {
        Category::Debug.as_ref()
    }

    fn return_kind(&self) -> u16 {
        kind::NULL
    }

    fn pure(&self) -> bool {
        false
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn compile(&self, _: &TypeState, _: &mut FunctionCompileContext, _: ArgumentList) -> Compiled {
        Ok(LoopStepFn.as_expr())
    }
}

#[derive(Debug, Clone, Copy)]
struct LoopStepFn;

impl FunctionExpression for LoopStepFn {
    fn resolve(&self, _: &mut Context) -> Resolved {
        let mut meter = METER.get();
        let exceeded = meter.step();
        METER.set(meter);
        exceeded.map_or(Ok(Value::Null), |exceeded| Err(exceeded.message().into()))
    }

    fn type_def(&self, _: &TypeState) -> TypeDef {
        TypeDef::null().infallible().impure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_closure_is_found_and_nothing_else() {
        let stepped = |source: &str| with_steps(source).unwrap_or_default();
        assert_eq!(stepped("for_each(.a) -> |i, v| { .b = v }"), "for_each(.a) -> |i, v| { loop_step(); .b = v }");
        assert_eq!(stepped("x = map_values(.a) ->\n|v|\n# {\n{ v }"), "x = map_values(.a) ->\n|v|\n# {\n{ loop_step(); v }");
        let nested = "for_each(.a) -> |_, v| { for_each(v) -> |_, w| { .c = w } }";
        assert_eq!(stepped(nested).matches("{ loop_step();").count(), 2);
        for plain in ["", ".a = \"-> |x| {\"", "# -> |x| {\n.a = 1", ".a = r'-> |x| {' || {}", ".a = {\"b\": 1}"] {
            assert_eq!(with_steps(plain), None, "{plain}");
        }
    }
}
