//! From the processors of a config to steps that can be run.

use std::collections::BTreeMap;

use domain::ids::ResourceId;
use domain::pipeline::{Dedupe, Processor};
use domain::process::{KeyStore, Route};
use domain::resource::{ResourceKey, ResourceKind};
use domain::resource_config::{Cache, RateLimit, ResourceConfig};
use rules::path::Path;
use rules::schema::{Schema, SchemaFault};

use crate::action::{self, Action};
use crate::program::{EventType, Program, Purpose};

/// The resources of an owner that a pipeline names.
pub type Resources = BTreeMap<ResourceKey, ResourceConfig>;

/// One processor in its place.
#[derive(Debug)]
pub(crate) struct Step {
    /// How a failure names it: `pipeline.processors[0].mapping`.
    pub(crate) path: String,
    pub(crate) action: Action,
}

/// Compiles the processors of a route.
///
/// # Errors
/// The first that does not compile, or names a resource that is not given; a document that was checked has neither.
pub(crate) fn compile(route: &Route, resources: &Resources) -> Result<Vec<Step>, String> {
    let mut compiler = Compiler { route, resources, event: EventType::default() };
    let numbered = route.processors.iter().enumerate();
    let step = |(index, processor): (usize, &Processor)| {
        let path = format!("pipeline.processors[{index}].{}", processor.name());
        let action = compiler.action(processor).map_err(|fault| format!("{path}: {fault}"))?;
        Ok(Step { path, action })
    };
    numbered.map(step).collect()
}

struct Compiler<'c> {
    route: &'c Route,
    resources: &'c Resources,
    /// What is known of an event that comes to the next processor.
    event: EventType,
}

impl<'c> Compiler<'c> {
    fn action(&mut self, processor: &Processor) -> Result<Action, String> {
        Ok(match processor {
            Processor::Mapping(source) => {
                let program = self.program(source.as_str(), Purpose::Mapping)?;
                self.event = program.event_after();
                Action::Mapping(program)
            }
            Processor::Filter(source) => Action::Filter(self.program(source.as_str(), Purpose::Filter)?),
            Processor::Validate(validate) => {
                let first = |found: Vec<SchemaFault>| found.first().map_or_else(String::new, |found| found.message.clone());
                Action::Validate(Schema::compile(validate.schema.clone()).map_err(first)?)
            }
            Processor::Flatten(flatten) => {
                self.event = EventType::default();
                Action::Flatten(flatten.separator.clone())
            }
            Processor::Dedupe(dedupe) => Action::Dedupe(self.dedupe(dedupe)?),
            Processor::RateLimit(id) => match self.resource(ResourceKind::RateLimit, id)? {
                ResourceConfig::RateLimit(RateLimit::Local(limit)) => Action::RateLimit(format!("{}/{id}", self.owner()), *limit),
                other => return Err(format!("expected a rate_limit, got {}", other.kind())),
            },
            Processor::Resource(id) => {
                // It was checked for any event, and what it leaves can be anything.
                self.event = EventType::default();
                let action = match self.resource(ResourceKind::Processor, id)? {
                    ResourceConfig::Processor(Processor::Resource(_)) => return Err(format!("processor {id} names another one")),
                    ResourceConfig::Processor(processor) => self.action(processor)?,
                    other => return Err(format!("expected a processor, got {}", other.kind())),
                };
                self.event = EventType::default();
                action
            }
        })
    }

    fn program(&self, source: &str, purpose: Purpose) -> Result<Program, String> {
        let compiled = Program::compile(source, purpose, &self.event);
        compiled.map_err(|found| found.first().map_or_else(String::new, |found| found.message.clone()))
    }

    /// A key is remembered for the window, and never longer than its cache keeps anything.
    fn dedupe(&self, dedupe: &Dedupe) -> Result<action::Dedupe, String> {
        let (store, expiry) = match self.resource(ResourceKind::Cache, &dedupe.cache)? {
            ResourceConfig::Cache(Cache::Dynamodb(expiry)) => (KeyStore::Table, expiry),
            ResourceConfig::Cache(Cache::Memory(expiry)) => (KeyStore::Memory, expiry),
            other => return Err(format!("expected a cache, got {}", other.kind())),
        };
        let path_text = dedupe.key.as_ref().or(self.route.event_id.as_ref()).ok_or("expected a key, here or as input.event_id")?.as_str();
        Ok(action::Dedupe {
            path: Path::compile(path_text).map_err(|fault| fault.to_string())?,
            path_text: path_text.to_owned(),
            stream: self.route.ingest_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            window: dedupe.window.length().min(expiry.ttl.duration()),
            store,
        })
    }

    fn resource(&self, kind: ResourceKind, id: &ResourceId) -> Result<&'c ResourceConfig, String> {
        let key = ResourceKey { kind, id: id.clone() };
        self.resources.get(&key).ok_or_else(|| format!("there is no {kind} {id}"))
    }

    fn owner(&self) -> String {
        self.route.owner.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}
