//! The layers of the workspace, as Cargo sees them: `domain` ← `aws`, `outgoing`, `pipeline`, `http` ← functions, and never the other way.
//! Among those in the middle, only two know another: `http` knows `outgoing`, and `pipeline` knows `rules`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What begins so brings AWS, Lambda, an HTTP server, an async runtime or a compiler.
const NOT_FOR_THE_DOMAIN: &[&str] =
    &["aws-", "aws_", "lambda_", "axum", "hyper", "tower", "tokio", "reqwest", "async-std", "smol", "vrl", "jsonschema"];

#[test]
fn the_domain_depends_on_no_aws_lambda_http_server_async_runtime_or_compiler() {
    let graph = Graph::of_this_workspace();
    let reached = graph.reachable_from("millrace-domain");
    assert!(reached.contains("serde_json"), "the graph is read rightly: {reached:?}");
    let wrong: Vec<&&str> = reached.iter().filter(|name| NOT_FOR_THE_DOMAIN.iter().any(|begin| name.starts_with(begin))).collect();
    assert!(wrong.is_empty(), "millrace-domain depends on {wrong:?}");
}

#[test]
fn the_domain_stands_on_nothing_of_ours() {
    let graph = Graph::of_this_workspace();
    let reached = graph.reachable_from("millrace-domain");
    let ours: Vec<&&str> = reached.iter().filter(|name| graph.ours.contains(**name)).collect();
    assert!(ours.is_empty(), "millrace-domain depends on {ours:?}");
}

#[test]
fn the_edge_and_the_adapters_do_not_know_each_other() {
    let graph = Graph::of_this_workspace();
    for (from, to) in [("millrace-http", "millrace-aws"), ("millrace-aws", "millrace-http")] {
        let reached = graph.reachable_from(from);
        assert!(reached.contains("millrace-domain"), "{from} stands on the domain");
        assert!(!reached.contains(to), "{from} depends on {to}");
    }
}

#[test]
fn the_outgoing_client_stands_on_the_domain_alone() {
    let graph = Graph::of_this_workspace();
    let reached = graph.reachable_from("millrace-outgoing");
    let ours: Vec<&&str> = reached.iter().filter(|name| graph.ours.contains(**name)).collect();
    assert_eq!(ours, [&"millrace-domain"]);
    let aws: Vec<&&str> = reached.iter().filter(|name| name.starts_with("aws-sdk-") || name.starts_with("aws-config")).collect();
    assert!(aws.is_empty(), "millrace-outgoing depends on {aws:?}");
    assert!(!graph.reachable_from("millrace-aws").contains("millrace-outgoing"), "the adapters need no outgoing client");
}

#[test]
fn programs_are_compiled_by_a_crate_that_stands_on_the_domain_and_on_rules_and_cannot_call_out() {
    let graph = Graph::of_this_workspace();
    let reached = graph.reachable_from("millrace-pipeline");
    let ours: Vec<&&str> = reached.iter().filter(|name| graph.ours.contains(**name)).collect();
    assert_eq!(ours, [&"millrace-domain", &"millrace-rules"]);
    let clients: Vec<&&str> =
        reached.iter().filter(|name| ["aws-", "hyper", "reqwest"].iter().any(|begin| name.starts_with(begin))).collect();
    assert!(clients.is_empty(), "millrace-pipeline depends on {clients:?}");
    for name in ["millrace-aws", "millrace-http", "millrace-telemetry", "ingest-events", "query-history", "record-stack-status"] {
        assert!(!graph.reachable_from(name).contains("vrl"), "{name} links a compiler that it does not need");
    }
}

#[test]
fn no_library_depends_on_a_function_and_no_function_on_another() {
    let graph = Graph::of_this_workspace();
    let functions: Vec<&String> = graph.ours.iter().filter(|name| !name.starts_with("millrace-")).collect();
    assert_eq!(functions.len(), 7, "{functions:?}");
    for name in &graph.ours {
        let reached = graph.reachable_from(name);
        let wrong: Vec<&&String> = functions.iter().filter(|function| reached.contains(function.as_str())).collect();
        assert!(wrong.is_empty(), "{name} depends on {wrong:?}");
    }
}

/// Who depends on whom when something is built, dev-dependencies left out.
struct Graph {
    /// The packages of this workspace.
    ours: BTreeSet<String>,
    /// Names by package id.
    names: BTreeMap<String, String>,
    /// Ids of the packages that a package is built with, by its id.
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn of_this_workspace() -> Self {
        let host = host_triple();
        // Packages of other platforms need not be on this machine.
        let text = cargo(&["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host]);
        let metadata: Value = serde_json::from_str(&text).unwrap();
        let packages = members(&metadata["packages"]);
        let names = packages.map(|package| (text_of(&package["id"]), text_of(&package["name"]))).collect::<BTreeMap<_, _>>();
        let ours = members(&metadata["workspace_members"]).map(|id| names[id.as_str().unwrap()].clone()).collect();
        let nodes = members(&metadata["resolve"]["nodes"]);
        let edges = nodes.map(|node| (text_of(&node["id"]), members(&node["deps"]).filter(|edge| is_built_in(edge)).map(target).collect()));
        Self { ours, edges: edges.collect(), names }
    }

    /// Names of everything that a package is built with, itself left out.
    fn reachable_from(&self, name: &str) -> BTreeSet<&str> {
        let start = self.names.iter().find(|(_, known)| *known == name).map(|(id, _)| id).unwrap_or_else(|| panic!("no package {name}"));
        let mut reached = BTreeSet::new();
        let mut waiting = vec![start];
        while let Some(id) = waiting.pop() {
            for next in &self.edges[id] {
                if reached.insert(next) {
                    waiting.push(next);
                }
            }
        }
        reached.into_iter().map(|id| self.names[id].as_str()).collect()
    }
}

/// A normal or a build dependency.
fn is_built_in(edge: &Value) -> bool {
    members(&edge["dep_kinds"]).any(|kind| kind["kind"] != "dev")
}

fn target(edge: &Value) -> String {
    text_of(&edge["pkg"])
}

fn members(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().unwrap().iter()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn host_triple() -> String {
    let version = cargo(&["--version", "--verbose"]);
    version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
