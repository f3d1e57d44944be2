//! From the text of a resource, JSON or YAML, to what it means, or to everything that is wrong with it.

use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::declaration::{Draft, Leniency};
use crate::lint::{Fault, Linter, Weight};
use crate::resource::ResourceKind;
use crate::resource_config::{CacheDocument, RateLimitDocument, ResourceConfig};
use crate::schema::schema_of;
use crate::text_tree::{Content, Member, Node};

/// A resource as it was posted, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceDeclaration {
    /// As posted, without defaults.
    pub posted: Value,
    /// What it means, with defaults.
    pub config: ResourceConfig,
}

static CACHES: LazyLock<Component> =
    LazyLock::new(|| Component { linter: Linter::new(schema_of::<CacheDocument>("Millrace cache")), choices: "dynamodb, memory" });

static RATE_LIMITS: LazyLock<Component> =
    LazyLock::new(|| Component { linter: Linter::new(schema_of::<RateLimitDocument>("Millrace rate limit")), choices: "local" });

impl ResourceDeclaration {
    /// Reads a resource from text; an empty text is `{}`. A part of a stream document is checked as what it will be: that part of a
    /// stream that has nothing else. `check` adds what other crates know of such a document.
    ///
    /// # Errors
    /// Every fault found, each as `(line,column) what is wrong`, in the order of the text.
    pub fn parse(kind: ResourceKind, text: &str, leniency: Leniency, check: impl FnOnce(&mut Draft)) -> Result<Self, Vec<String>> {
        let tree = Node::parse(text).map_err(|bad| vec![bad.to_string()])?;
        let posted = tree.value();
        let part_of_stream = |path: &[&str]| {
            let mut draft = Draft::read(within(path, tree.clone()), leniency);
            draft.add(nested(path, &draft));
            check(&mut draft);
            Ok::<_, Vec<String>>(draft.finish()?.document)
        };
        let config = match kind {
            ResourceKind::Cache => ResourceConfig::Cache(CACHES.read(&tree, leniency, CacheDocument::chosen)?),
            ResourceKind::RateLimit => ResourceConfig::RateLimit(RATE_LIMITS.read(&tree, leniency, RateLimitDocument::chosen)?),
            ResourceKind::Input => ResourceConfig::Input(part_of_stream(&["input"])?.input),
            ResourceKind::Output => ResourceConfig::Output(part_of_stream(&["output"])?.output),
            ResourceKind::Processor => {
                let processors = part_of_stream(&PROCESSOR)?.pipeline.processors;
                let processor = processors.into_iter().next().ok_or_else(|| vec![format!("{} expected a processor", tree.place)])?;
                ResourceConfig::Processor(processor)
            }
        };
        Ok(Self { posted, config })
    }
}

/// Where the one processor of a stream stands.
const PROCESSOR: [&str; 3] = ["pipeline", "processors", "0"];

/// The document of a stream that has only this.
fn within(path: &[&str], tree: Node) -> Node {
    path.iter().rev().fold(tree, |inner, name| {
        let place = inner.place;
        let content = match name.parse::<usize>() {
            Ok(_) => Content::List(vec![inner]),
            Err(_) => Content::Map(vec![Member { place, name: (*name).to_owned(), value: inner }]),
        };
        Node::new(place, content)
    })
}

/// A resource that only stood for another one would lead nowhere.
fn nested(path: &[&str], draft: &Draft) -> Vec<Fault> {
    let tree = draft.tree().at(path);
    let stands_for = tree.into_iter().flat_map(Node::members).filter(|member| member.name == "resource");
    let fault = |member: &Member| Fault {
        place: member.place,
        message: "a resource cannot stand for another one".to_owned(),
        weight: Weight::Heavy,
    };
    stands_for.map(fault).collect()
}

/// A kind of resource that stands in no stream document.
struct Component {
    linter: Linter,
    /// The names of which exactly one is given.
    choices: &'static str,
}

impl Component {
    fn read<D: DeserializeOwned, C>(&self, tree: &Node, leniency: Leniency, chosen: fn(D) -> Option<C>) -> Result<C, Vec<String>> {
        let shape = self.linter.faults(tree).into_iter();
        let mut faults: Vec<Fault> = shape.filter(|fault| leniency == Leniency::Strict || fault.weight == Weight::Heavy).collect();
        let heavy = |message: String| Fault { place: tree.place, message, weight: Weight::Heavy };
        // What is wrong in its shape says nothing certain about its meaning.
        match serde_json::from_value::<D>(self.linter.known_part(tree)).map(chosen) {
            Ok(Some(component)) if faults.is_empty() => return Ok(component),
            Ok(None) if faults.iter().all(|fault| fault.weight == Weight::Light) => {
                faults.push(heavy(format!("expected exactly one of: {}", self.choices)));
            }
            Err(error) if faults.is_empty() => faults.push(heavy(error.to_string())),
            Ok(_) | Err(_) => {}
        }
        faults.sort_by_key(|fault| fault.place);
        Err(faults.iter().map(ToString::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource_config::{Cache, Expiry, LocalRateLimit, RateLimit};
    use serde_json::json;

    fn config(kind: ResourceKind, text: &str) -> ResourceConfig {
        let declared = ResourceDeclaration::parse(kind, text, Leniency::Strict, |_| ()).unwrap();
        assert_eq!(declared.config.kind(), kind);
        let kept = serde_json::to_string(&declared.config).unwrap();
        assert_eq!(serde_json::from_str::<ResourceConfig>(&kept).unwrap(), declared.config, "it is kept as it is");
        declared.config
    }

    fn faults(kind: ResourceKind, text: &str) -> Vec<String> {
        ResourceDeclaration::parse(kind, text, Leniency::Strict, |_| ()).unwrap_err()
    }

    #[test]
    fn json_and_yaml_declare_the_same_resource() {
        let limit = RateLimit::Local(LocalRateLimit { count: 500, interval: "10m".parse().unwrap() });
        for text in ["local:\n  count: 500\n  interval: 10m\n", r#"{"local": {"count": 500, "interval": "10m"}}"#] {
            assert_eq!(config(ResourceKind::RateLimit, text), ResourceConfig::RateLimit(limit.clone()));
        }
        let declared = ResourceDeclaration::parse(ResourceKind::RateLimit, "local: {count: 500}", Leniency::Strict, |_| ()).unwrap();
        assert_eq!(declared.posted, json!({"local": {"count": 500}}), "as posted, without defaults");
    }

    #[test]
    fn a_cache_is_one_of_two() {
        let ttl = |text: &str| Expiry { ttl: text.parse().unwrap() };
        assert_eq!(config(ResourceKind::Cache, "dynamodb: {ttl: 1h}"), ResourceConfig::Cache(Cache::Dynamodb(ttl("1h"))));
        assert_eq!(config(ResourceKind::Cache, "memory: {}"), ResourceConfig::Cache(Cache::Memory(ttl("5m"))));
        for neither in ["", "{}", "memory:\n", "memory: {}\ndynamodb: {}\n"] {
            assert_eq!(faults(ResourceKind::Cache, neither), ["(1,1) expected exactly one of: dynamodb, memory"], "{neither:?}");
        }
        assert_eq!(faults(ResourceKind::RateLimit, ""), ["(1,1) expected exactly one of: local"]);
    }

    #[test]
    fn every_fault_of_a_component_is_reported_where_it_stands() {
        assert_eq!(
            faults(ResourceKind::RateLimit, "local:\n  count: 0\n  interval: soon\n  nope: 1\nredis: {}\n"),
            [
                "(2,10) expected 1 to 1000000000, got 0",
                r#"(3,13) expected a duration such as 300ms, 1s, 10m or 1h30m, more than 0 and at most 8760h, got "soon""#,
                "(4,3) field nope not recognised",
                "(5,1) field redis not recognised",
            ]
        );
        assert_eq!(faults(ResourceKind::Cache, "memory: {ttl: 5}"), ["(1,15) expected string value, got integer"]);
        assert_eq!(faults(ResourceKind::Cache, "[]"), ["(1,1) expected object value, got array"]);
        assert!(faults(ResourceKind::Cache, "{\"memory\":")[0].starts_with("(2,1) "));
    }

    #[test]
    fn sections_are_checked_as_those_of_a_stream() {
        let ResourceConfig::Input(input) = config(ResourceKind::Input, "timestamp: $.time\n") else { panic!("no input") };
        assert_eq!(input.timestamp, Some("$.time".parse().unwrap()));
        assert!(matches!(config(ResourceKind::Output, "s3: {compression: none}"), ResourceConfig::Output(output) if output.s3.is_some()));
        assert_eq!(
            faults(ResourceKind::Input, "timestmp: $.time\nmax_event_bytes: 0\ntimestamp: time\n"),
            [
                "(1,1) field timestmp not recognised, did you mean timestamp?",
                "(2,18) expected 1 to 716800, got 0",
                r#"(3,12) expected a path of member names such as $.time or $['odd name'].time, got "time""#,
            ]
        );
        assert_eq!(faults(ResourceKind::Output, "[]"), ["(1,1) expected object value, got array"]);
    }

    #[test]
    fn a_processor_is_checked_as_that_of_a_stream() {
        let ResourceConfig::Processor(processor) = config(ResourceKind::Processor, "dedupe: {key: $.id, cache: seen}") else {
            panic!("no processor")
        };
        assert_eq!(processor.references().len(), 1);
        for bad in ["", "mapping: a\nfilter: b\n", "[]", "hello", "maping: a"] {
            assert_eq!(faults(ResourceKind::Processor, bad).len(), 1, "{bad:?}");
        }
    }

    #[test]
    fn a_resource_stands_for_no_other() {
        let message = "(1,1) a resource cannot stand for another one";
        for kind in [ResourceKind::Input, ResourceKind::Output, ResourceKind::Processor] {
            assert_eq!(faults(kind, "resource: other"), [message], "{kind}");
        }
    }

    #[test]
    fn chilled_passes_unknown_fields_and_nothing_that_makes_the_resource_impossible() {
        let chilled = |kind, text| ResourceDeclaration::parse(kind, text, Leniency::Chilled, |_| ());
        let declared = chilled(ResourceKind::Cache, "memory: {nope: 1}\nother: 2\n").unwrap();
        assert_eq!(declared.posted, json!({"memory": {"nope": 1}, "other": 2}), "shown back as it was posted");
        assert_eq!(declared.config, config(ResourceKind::Cache, "memory: {}"));
        assert!(chilled(ResourceKind::Input, "nope: 1").is_ok());
        for (kind, impossible) in [
            (ResourceKind::Cache, "redis: {url: 'http://localhost:6379'}"),
            (ResourceKind::RateLimit, "local: {count: 0}"),
            (ResourceKind::RateLimit, "local: {interval: 0s}"),
            (ResourceKind::Input, "max_event_bytes: 0"),
        ] {
            assert_eq!(chilled(kind, impossible).unwrap_err().len(), 1, "{impossible}");
        }
    }
}
