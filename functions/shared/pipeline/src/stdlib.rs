//! The functions that a program may call.
//!
//! VRL's standard library as far as it reaches no network, environment or file system: those functions are not even compiled
//! (features of the crate `vrl`). What is named here is missing for a reason, and the message says it.

use std::sync::LazyLock;

use vrl::compiler::Function;

use crate::loops::LoopStep;

/// Every function that a program may call.
pub(crate) static FUNCTIONS: LazyLock<Vec<Box<dyn Function>>> =
    LazyLock::new(|| vrl::stdlib::all().into_iter().filter(|function| refusal(function.identifier()).is_none()).collect());

const NETWORK: &str = "it reaches the network";
const MACHINE: &str = "it tells about the machine that happens to run it";
const FILES: &str = "it reads files";
const LOG: &str = "events do not belong in a log";
const VECTOR: &str = "it needs a running Vector";
const UNPACKED: &str = "nothing bounds what it unpacks";

/// Functions that are compiled and that no program may call: a single event could take an invocation's memory or time.
const UNBOUNDED: [(&str, &str); 8] = [
    ("decode_gzip", UNPACKED),
    ("decode_zlib", UNPACKED),
    ("decode_zstd", UNPACKED),
    ("decode_snappy", UNPACKED),
    ("decode_lz4", UNPACKED),
    ("random_bytes", "nothing bounds what it makes"),
    ("set", "nothing bounds the list that it makes"),
    ("unnest", "the event stands in each of its parts, and nothing bounds them"),
];

/// Functions of VRL, or of Vector's own library around it, that no program may call, and why.
const REFUSED: [(&str, &str); 20] = [
    ("dns_lookup", NETWORK),
    ("http_request", NETWORK),
    ("reverse_dns", NETWORK),
    ("get_env_var", "it reads the environment"),
    ("get_hostname", MACHINE),
    ("get_timezone_name", MACHINE),
    ("encode_proto", FILES),
    ("parse_etld", FILES),
    ("parse_proto", FILES),
    ("validate_json_schema", "it reads files: use the processor validate"),
    ("log", LOG),
    ("get_secret", VECTOR),
    ("set_secret", VECTOR),
    ("remove_secret", VECTOR),
    ("set_semantic_meaning", VECTOR),
    ("find_enrichment_table_records", VECTOR),
    ("get_enrichment_table_record", VECTOR),
    ("find_vector_metrics", VECTOR),
    ("get_vector_metric", VECTOR),
    ("aggregate_vector_metrics", VECTOR),
];

/// The same and the call that counts the passes of loops: with these a program is compiled that runs.
pub(crate) static RUNNING: LazyLock<Vec<Box<dyn Function>>> = LazyLock::new(|| {
    let all = vrl::stdlib::all().into_iter().filter(|function| refusal(function.identifier()).is_none());
    all.chain([Box::new(LoopStep) as Box<dyn Function>]).collect()
});

/// Why no program may call a function, if it is one of those.
pub(crate) fn refusal(function: &str) -> Option<&'static str> {
    REFUSED.iter().chain(&UNBOUNDED).find(|(name, _)| *name == function).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_reaches_out_is_among_the_functions() {
        let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.identifier()).collect();
        assert!(REFUSED.iter().all(|(name, _)| !names.contains(name)));
        for wanted in [
            "to_float",
            "parse_json",
            "sha2",
            "uuid_v7",
            "parse_timestamp",
            "flatten",
            "now",
            "parse_groks",
            "for_each",
            "map_values",
            "filter",
        ] {
            assert!(names.contains(&wanted), "{wanted}");
        }
    }

    #[test]
    fn what_reaches_out_is_not_even_compiled() {
        let names: Vec<&str> = vrl::stdlib::all().iter().map(|function| function.identifier()).collect();
        let compiled: Vec<&str> = REFUSED.iter().map(|(name, _)| *name).filter(|name| names.contains(name)).collect();
        assert_eq!(compiled, ["log"], "a feature of the crate vrl is on that should be off");
    }
}
