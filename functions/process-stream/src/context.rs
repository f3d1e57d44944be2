//! What is kept warm between batches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws::dynamodb::Table;
use aws::firehose::Firehose;
use aws::host_system::HostSystem;
use aws::kinesis::Kinesis;
use domain::dead_letter::DeadLetters;
use domain::dedupe::{KeysInMemory, SeenKeys};
use domain::environment::{BadEnvironment, Environment, process};
use domain::limits::CONFIG_CACHE_TTL;
use domain::process::Route;
use domain::publish::EventPublisher;
use domain::rate_limiter::RateLimiter;
use domain::resource::{ResourceReader, resources_of};
use domain::stats::StatsWriter;
use domain::store::{Routes, StoreFault};
use domain::system::System;
use pipeline::Resources;
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
    /// Knows the resources that pipelines name.
    pub resources: Arc<dyn ResourceReader>,
    /// Takes processed events.
    pub publisher: Arc<dyn EventPublisher>,
    /// Takes what cannot be processed.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Counts what was done.
    pub stats: Arc<dyn StatsWriter>,
    /// Remembers the keys of forwarded events, for every instance.
    pub seen_keys: Arc<dyn SeenKeys>,
    /// Remembers keys for this instance alone.
    pub keys_in_memory: KeysInMemory,
    /// How much this instance lets through.
    pub rate_limiter: RateLimiter,
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
    /// The resources that the route names, as they were compiled.
    shared: Resources,
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

    /// Puts the ports together. One store knows the routes and the resources, and keeps the stats and the keys.
    pub fn new<T>(store: Arc<T>, publisher: Arc<dyn EventPublisher>, dead_letters: Arc<dyn DeadLetters>, system: Arc<dyn System>) -> Self
    where
        T: Routes + ResourceReader + StatsWriter + SeenKeys + 'static,
    {
        Self {
            routes: store.clone(),
            resources: store.clone(),
            publisher,
            dead_letters,
            stats: store.clone(),
            seen_keys: store,
            keys_in_memory: KeysInMemory::default(),
            rate_limiter: RateLimiter::default(),
            system,
            known: Mutex::default(),
        }
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
        let shared = resources_of(self.resources.as_ref(), &route).await?;
        let processors = match known {
            Some(known) if known.route == route && known.shared == shared => known.processors,
            _ => Compiled::new(&route, &shared).map_err(StoreFault::new)?.map(Arc::new),
        };
        let found = Known { route, processors, shared, found_at: now };
        lock().insert(raw_stream.to_owned(), found.clone());
        Ok(Some(found))
    }
}
