//! The resources that a document uses, and where it names them.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::StreamDocument;
use crate::ids::ResourceId;
use crate::input::Input;
use crate::lint::{Fault, Weight};
use crate::output::Output;
use crate::pipeline::Processor;
use crate::resource::{ResourceKey, ResourceKind};
use crate::resource_config::ResourceConfig;
use crate::text_tree::Node;

/// A place in a document that names a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The resource.
    pub key: ResourceKey,
    /// Where it is named: names and indexes, outermost first.
    pub path: Vec<String>,
}

impl Reference {
    fn new(kind: ResourceKind, id: &ResourceId, path: &[&str]) -> Self {
        Self { key: ResourceKey { kind, id: id.clone() }, path: path.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn within(mut self, outer: &[&str]) -> Self {
        self.path.splice(0..0, outer.iter().map(|name| (*name).to_owned()));
        self
    }
}

impl StreamDocument {
    /// Names every resource that the document uses, as often as it does.
    pub fn references(&self) -> Vec<Reference> {
        let mut references: Vec<Reference> = self.input.references().into_iter().map(|found| found.within(&["input"])).collect();
        for (index, processor) in self.pipeline.processors.iter().enumerate() {
            let outer = ["pipeline", "processors", &index.to_string()];
            references.extend(processor.references().into_iter().map(|found| found.within(&outer)));
        }
        references.extend(self.output.references().into_iter().map(|found| found.within(&["output"])));
        references
    }
}

impl StreamDocument {
    /// Puts sections that are resources in the places of their names. The names stay.
    pub fn resolve(&mut self, resources: &BTreeMap<ResourceKey, ResourceConfig>) {
        let find = |kind, id: &ResourceId| resources.get(&ResourceKey { kind, id: id.clone() });
        if let Some(id) = self.input.resource.clone()
            && let Some(ResourceConfig::Input(input)) = find(ResourceKind::Input, &id)
        {
            self.input = Input { resource: Some(id), ..input.clone() };
        }
        if let Some(id) = self.output.resource.clone()
            && let Some(ResourceConfig::Output(output)) = find(ResourceKind::Output, &id)
        {
            self.output = Output { resource: Some(id), ..output.clone() };
        }
    }
}

impl Input {
    /// Names every resource that it uses; paths begin within it.
    pub fn references(&self) -> Vec<Reference> {
        let whole = self.resource.iter().map(|id| Reference::new(ResourceKind::Input, id, &["resource"]));
        let limit = self.rate_limit.iter().map(|id| Reference::new(ResourceKind::RateLimit, id, &["rate_limit"]));
        whole.chain(limit).collect()
    }
}

impl Processor {
    /// Names every resource that it uses; paths begin within it.
    pub fn references(&self) -> Vec<Reference> {
        match self {
            Self::Dedupe(dedupe) => vec![Reference::new(ResourceKind::Cache, &dedupe.cache, &["dedupe", "cache"])],
            Self::RateLimit(id) => vec![Reference::new(ResourceKind::RateLimit, id, &["rate_limit"])],
            Self::Resource(id) => vec![Reference::new(ResourceKind::Processor, id, &["resource"])],
            Self::Mapping(_) | Self::Filter(_) | Self::Validate(_) | Self::Flatten(_) => Vec::new(),
        }
    }
}

impl Output {
    /// Names every resource that it uses; paths begin within it.
    pub fn references(&self) -> Vec<Reference> {
        self.resource.iter().map(|id| Reference::new(ResourceKind::Output, id, &["resource"])).collect()
    }
}

/// Names the resources that a document uses and that do not exist, where it names them.
pub fn unknown_resources(tree: &Node, document: &StreamDocument, known: &BTreeSet<ResourceKey>) -> Vec<Fault> {
    let unknown = document.references().into_iter().filter(|reference| !known.contains(&reference.key));
    let fault = |reference: Reference| {
        let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        Fault { place: tree.nearest(&path).place, message: format!("{} does not exist", reference.key), weight: Weight::Heavy }
    };
    unknown.map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration::{Draft, Leniency};

    const TEXT: &str = "input: {rate_limit: slow}\npipeline:\n  processors:\n    - rate_limit: slow\n    - dedupe: {key: $.id, cache: seen}\n    - \
                        resource: speed\noutput:\n  resource: archive\n";

    fn key(kind: ResourceKind, id: &str) -> ResourceKey {
        ResourceKey { kind, id: id.parse().unwrap() }
    }

    #[test]
    fn every_resource_is_named_with_its_path() {
        let draft = Draft::parse(TEXT, Leniency::Strict);
        let shown = |reference: &Reference| format!("{}: {}", reference.path.join("."), reference.key);
        let references: Vec<String> = draft.document().unwrap().references().iter().map(shown).collect();
        assert_eq!(
            references,
            [
                "input.rate_limit: rate_limit slow",
                "pipeline.processors.0.rate_limit: rate_limit slow",
                "pipeline.processors.1.dedupe.cache: cache seen",
                "pipeline.processors.2.resource: processor speed",
                "output.resource: output archive",
            ]
        );
    }

    #[test]
    fn a_resource_that_does_not_exist_is_a_fault_where_it_is_named() {
        let draft = Draft::parse(TEXT, Leniency::Chilled);
        let known = BTreeSet::from([key(ResourceKind::RateLimit, "slow"), key(ResourceKind::Processor, "seen")]);
        let faults = unknown_resources(draft.tree(), draft.document().unwrap(), &known);
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["(5,34) cache seen does not exist", "(6,17) processor speed does not exist", "(8,13) output archive does not exist"]
        );
        assert!(faults.iter().all(|fault| fault.weight == Weight::Heavy));
    }
}
