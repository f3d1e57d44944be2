//! VRL programs (<https://vrl.dev>).

use std::ops::RangeInclusive;

use domain::lint::nearest;
use vrl::compiler::state::ExternalEnv;
use vrl::compiler::{CompileConfig, Function, compile_with_external};
use vrl::diagnostic::{Diagnostic as Found, Label};
use vrl::value::Kind;
use vrl::value::kind::Collection;

use crate::depth::too_deep;
use crate::loops::with_steps;
use crate::stdlib::{FUNCTIONS, RUNNING, refusal};

/// The longest program, in bytes. Ours: the compiler's time grows with the square of it.
const MAX_PROGRAM_BYTES: usize = 16 * 1024;

/// The longest message, in characters.
const MAX_MESSAGE: usize = 400;

/// The code of a call to a function that there is not.
const UNDEFINED_FUNCTION: usize = 105;

/// Codes of what is wrong with a call or the syntax, whatever the type of the event.
const REGARDLESS_OF_TYPES: [RangeInclusive<usize>; 3] = [UNDEFINED_FUNCTION..=109, 200..=211, 701..=701];

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It changes the event.
    Mapping,
    /// It says whether the event goes on, and leaves it as it is.
    Filter,
}

/// What is known about the fields of an event: any object, or what a program before has made of it.
#[derive(Debug, Clone, Default)]
pub struct EventType(ExternalEnv);

/// A program that can be run.
#[derive(Debug, Clone)]
pub struct Program {
    program: vrl::compiler::Program,
    has_loops: bool,
}

/// What is wrong with a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The byte of the source at which it is wrong.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// Whether it is wrong whatever the type of the event.
    pub is_certain: bool,
}

impl Program {
    /// Compiles a program that meets events of a type.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the source. A syntax error is the only one.
    pub fn compile(source: &str, purpose: Purpose, event: &EventType) -> Result<Self, Vec<Diagnostic>> {
        if source.len() > MAX_PROGRAM_BYTES {
            let message = format!("expected a program of at most {MAX_PROGRAM_BYTES} bytes, got {}", source.len());
            return Err(vec![Diagnostic { offset: 0, message, is_certain: true }]);
        }
        if let Some(found) = too_deep(source) {
            return Err(vec![found]);
        }
        let compile = |source: &str, functions: &[Box<dyn Function>]| {
            let mut config = CompileConfig::default();
            if purpose == Purpose::Filter {
                config.set_read_only();
            }
            let compiled = compile_with_external(source, functions, &event.0, config);
            compiled
                .map(|compiled| compiled.program)
                .map_err(|found| found.iter().map(|found| diagnostic(source, found)).collect::<Vec<_>>())
        };
        let program = compile(source, &FUNCTIONS)?;
        if let Some(message) = useless(&program, purpose) {
            return Err(vec![Diagnostic { offset: 0, message, is_certain: false }]);
        }
        // What runs is compiled a second time, so that what is wrong is told in the words of the source.
        match with_steps(source) {
            Some(stepped) => Ok(Self { program: compile(&stepped, &RUNNING)?, has_loops: true }),
            None => Ok(Self { program, has_loops: false }),
        }
    }

    /// Returns whether it has loops, and so has to be run [on a large stack](crate::loops::on_large_stack).
    pub(crate) fn has_loops(&self) -> bool {
        self.has_loops
    }

    /// What is known about an event that the program was run on.
    pub fn event_after(&self) -> EventType {
        let after = self.program.final_type_info().state.external;
        // Of a list, every item is an event.
        if after.target_kind().is_object() {
            EventType(ExternalEnv::new_with_kind(after.target_kind().clone(), any_object()))
        } else {
            EventType::default()
        }
    }

    /// The program as the library runs it.
    pub fn compiled(&self) -> &vrl::compiler::Program {
        &self.program
    }
}

fn any_object() -> Kind {
    Kind::object(Collection::any())
}

/// Says why a program that compiles can never do what it is for.
fn useless(program: &vrl::compiler::Program, purpose: Purpose) -> Option<String> {
    let after = program.final_type_info();
    let (result, event) = (after.result.kind(), after.state.external.target_kind());
    match purpose {
        Purpose::Filter if !result.contains_boolean() => Some(format!("expected a filter to give a boolean, got {result}")),
        Purpose::Mapping if !event.contains_object() && !event.contains_array() => {
            Some(format!("expected a mapping to leave an object, or a list of them, as the event, got {event}"))
        }
        _ => None,
    }
}

fn diagnostic(source: &str, found: &Found) -> Diagnostic {
    let label = found.labels.iter().find(|label| label.primary).or(found.labels.first());
    let span = label.map_or(0..0, |label| label.span.range());
    let called = source.get(span.clone()).unwrap_or_default();
    let message = match refusal(called) {
        _ if found.code != UNDEFINED_FUNCTION => explained(found),
        Some(why) => format!("function {called} is not available: {why}"),
        None => {
            let guess = nearest(called, FUNCTIONS.iter().map(|function| function.identifier()));
            let guess = guess.map(|guess| format!(", did you mean {guess}?")).unwrap_or_default();
            format!("function {} is not known{guess}", called.chars().take(60).collect::<String>())
        }
    };
    let is_certain = REGARDLESS_OF_TYPES.iter().any(|codes| codes.contains(&found.code));
    Diagnostic { offset: span.start, message: message.chars().take(MAX_MESSAGE).collect(), is_certain }
}

/// VRL's own words. The code leads to a page, such as <https://errors.vrl.dev/103>.
fn explained(found: &Found) -> String {
    let is_news = |label: &&Label| label.message != found.message && !label.message.starts_with("expected one of:");
    let details = found.labels.iter().filter(is_news).map(|label| label.message.as_str());
    let mut message = format!("vrl error {}: {}", found.code, found.message);
    for detail in details {
        let joint = if message.ends_with(':') { " " } else { "; " };
        message = message + joint + detail;
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(source: &str, purpose: Purpose) -> Vec<(usize, String)> {
        let compiled = Program::compile(source, purpose, &EventType::default());
        compiled.err().unwrap_or_default().into_iter().map(|found| (found.offset, found.message)).collect()
    }

    fn only_fault(source: &str, purpose: Purpose) -> (usize, String) {
        let mut found = faults(source, purpose);
        assert_eq!(found.len(), 1, "{source}: {found:?}");
        found.remove(0)
    }

    #[test]
    fn a_good_program_compiles() {
        for good in ["", ".a = 1", ".speed_ms = to_float!(.kmh) / 3.6", ". = [{\"a\": 1}, {\"a\": 2}]", ". = parse_json!(.text)", "abort"] {
            assert_eq!(faults(good, Purpose::Mapping), [], "{good}");
        }
        for good in [".flag", ".a == 1", "exists(.a) && .b != null", "to_bool!(.a)", "true", "(.speed > 0) ?? false"] {
            assert_eq!(faults(good, Purpose::Filter), [], "{good}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let found = faults(".a = upcas(.b)\n.c = zzzzzzzzzz(1)\n.d = to_int(.x)", Purpose::Mapping);
        assert_eq!(found.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [5, 20, 39]);
        assert_eq!(found[0].1, "function upcas is not known, did you mean upcase?");
        assert_eq!(found[1].1, "function zzzzzzzzzz is not known");
        assert_eq!(
            found[2].1,
            "vrl error 103: unhandled fallible assignment; this expression is fallible because at least one argument's type cannot be verified \
             to be valid; or change this to an infallible assignment: .d, err = to_int(.x)"
        );
        assert_eq!(only_fault(".a = (1", Purpose::Mapping), (7, "vrl error 204: syntax error; unexpected end of program".to_owned()));
    }

    #[test]
    fn functions_that_reach_out_are_refused_with_the_reason() {
        for (source, message) in [
            (".a = get_env_var!(\"SECRET\")", "function get_env_var is not available: it reads the environment"),
            (".a = get_hostname!()", "function get_hostname is not available: it tells about the machine that happens to run it"),
            (".a = http_request!(\"http://169.254.169.254\")", "function http_request is not available: it reaches the network"),
            (".a = dns_lookup!(\"a\")", "function dns_lookup is not available: it reaches the network"),
            (".a = get_secret(\"a\")", "function get_secret is not available: it needs a running Vector"),
        ] {
            assert_eq!(only_fault(source, Purpose::Mapping), (5, message.to_owned()));
        }
        let (_, message) = only_fault("parse_groks!(\"x\", patterns: [\"%{A}\"], alias_sources: [\"/etc/passwd\"])", Purpose::Mapping);
        assert!(message.contains("alias_sources is disabled"), "{message}");
    }

    #[test]
    fn a_filter_gives_a_boolean_and_changes_nothing() {
        assert_eq!(only_fault("\"x\"", Purpose::Filter).1, "expected a filter to give a boolean, got string");
        assert_eq!(only_fault("", Purpose::Filter).1, "expected a filter to give a boolean, got null");
        assert_eq!(only_fault(".a = true", Purpose::Filter).1, "vrl error 315: mutation of read-only value");
        assert!(only_fault("del(.a) == 1", Purpose::Filter).1.contains("read-only"));
    }

    #[test]
    fn a_mapping_leaves_an_event() {
        let message = "expected a mapping to leave an object, or a list of them, as the event, got integer";
        assert_eq!(only_fault(". = 3", Purpose::Mapping).1, message);
    }

    #[test]
    fn a_program_knows_what_the_one_before_it_made() {
        let filter = |event: &EventType| Program::compile(".speed > 0", Purpose::Filter, event);
        let mapping = |source| Program::compile(source, Purpose::Mapping, &EventType::default()).unwrap();
        assert!(filter(&mapping(".speed = to_float!(.kmh) / 3.6").event_after()).is_ok());
        assert!(filter(&EventType::default()).is_err());
        assert!(filter(&mapping(". = [{\"speed\": 1}]").event_after()).is_err());
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_not_compiled() {
        assert_eq!(only_fault(&"#".repeat(16_385), Purpose::Mapping).1, "expected a program of at most 16384 bytes, got 16385");
        let deep = format!("{}1{}", "to_string(".repeat(1_000), ")".repeat(1_000));
        assert_eq!(
            only_fault(&deep, Purpose::Mapping),
            (129, "expected at most 12 brackets within each other, got more: use variables".to_owned())
        );
    }
}
