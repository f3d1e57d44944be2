//! What is kept warm between batches.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aws::dynamodb::Table;
use aws::firehose::Firehose;
use aws::host_system::HostSystem;
use aws::kinesis::Kinesis;
use domain::dead_letter::DeadLetters;
use domain::environment::{BadEnvironment, Environment, process};
use domain::ids::ResourceId;
use domain::limits::CONFIG_CACHE_TTL;
use domain::pipeline::Processor;
use domain::process::Route;
use domain::publish::EventPublisher;
use domain::resource::{ResourceKey, ResourceKind, ResourceReader};
use domain::resource_config::ResourceConfig;
use domain::stats::StatsWriter;
use domain::store::{Routes, StoreFault};
use domain::system::System;
use pipeline::run::Compiled;
use time::OffsetDateTime;

/// Settings of this function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `TABLE_NAME`: the table.
    pub table_name: String,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Every variable that is missing.
    pub fn from_env() -> Result<Self, BadEnvironment> {
        let mut environment = Environment::new(&process);
        let settings = Self { table_name: environment.text("TABLE_NAME") };
        environment.finish(settings)
    }
}

/// The ports that this function uses.
pub struct Context {
    /// Knows where a raw stream's records go.
    pub routes: Arc<dyn Routes>,
    /// Knows the processors that streams share.
    pub resources: Arc<dyn ResourceReader>,
    /// Takes processed events.
    pub publisher: Arc<dyn EventPublisher>,
    /// Takes what cannot be processed.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Counts what was done.
    pub stats: Arc<dyn StatsWriter>,
    /// Clock, sleep, chance.
    pub system: Arc<dyn System>,
    known: Mutex<HashMap<String, Known>>,
}

/// A raw stream's route, with its processors ready to run.
#[derive(Clone)]
pub struct Known {
    /// Where its records go.
    pub route: Route,
    /// What is done with them on the way.
    pub processors: Option<Arc<Compiled>>,
    /// The processors that the route names, as they were compiled.
    shared: BTreeMap<ResourceId, Processor>,
    found_at: OffsetDateTime,
}

impl Context {
    /// Connects to AWS.
    ///
    /// # Errors
    /// A bad environment.
    pub async fn from_env() -> Result<Self, BadEnvironment> {
        let settings = Settings::from_env()?;
        let config = aws::connect().await;
        let system: Arc<dyn System> = Arc::new(HostSystem);
        let table = Arc::new(Table::new(&config, settings.table_name));
        Ok(Self::new(table, Arc::new(Kinesis::new(&config)), Arc::new(Firehose::new(&config, system.clone())), system))
    }

    /// Puts the ports together. One store knows the routes and the shared processors, and keeps the stats.
    pub fn new<T>(store: Arc<T>, publisher: Arc<dyn EventPublisher>, dead_letters: Arc<dyn DeadLetters>, system: Arc<dyn System>) -> Self
    where
        T: Routes + ResourceReader + StatsWriter + 'static,
    {
        Self { routes: store.clone(), resources: store.clone(), publisher, dead_letters, stats: store, system, known: Mutex::default() }
    }

    /// Finds a raw stream's route, from memory within the cache time. One that is missing is looked up every time.
    ///
    /// Processors are compiled when they change, not when they are looked up again.
    ///
    /// # Errors
    /// The store failed, or the processors do not compile.
    pub async fn route(&self, raw_stream: &str) -> Result<Option<Known>, StoreFault> {
        let now = self.system.now();
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(raw_stream).cloned();
        if let Some(known) = known.as_ref().filter(|known| now - known.found_at < CONFIG_CACHE_TTL) {
            return Ok(Some(known.clone()));
        }
        let Some(route) = self.routes.route(raw_stream).await? else {
            lock().remove(raw_stream);
            return Ok(None);
        };
        let shared = self.shared_processors(&route).await?;
        let processors = match known {
            Some(known) if known.route.processors == route.processors && known.shared == shared => known.processors,
            _ if route.processors.is_empty() => None,
            _ => Some(Arc::new(Compiled::new(&route.processors, &shared).map_err(StoreFault::new)?)),
        };
        let found = Known { route, processors, shared, found_at: now };
        lock().insert(raw_stream.to_owned(), found.clone());
        Ok(Some(found))
    }

    /// Loads the processors that a route names. One cannot be removed while a stream names it.
    async fn shared_processors(&self, route: &Route) -> Result<BTreeMap<ResourceId, Processor>, StoreFault> {
        let mut shared = BTreeMap::new();
        for processor in &route.processors {
            let (Processor::Resource(id), Some(owner)) = (processor, &route.owner) else { continue };
            let key = ResourceKey { kind: ResourceKind::Processor, id: id.clone() };
            let found = self.resources.load_resource(owner, &key).await?;
            if let Some(ResourceConfig::Processor(processor)) = found.map(|resource| resource.config) {
                shared.insert(id.clone(), processor);
            }
        }
        Ok(shared)
    }
}
