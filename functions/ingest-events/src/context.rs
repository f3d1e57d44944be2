//! What is kept warm between requests.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::environment::{BadEnvironment, Environment, process};
use aws::host_system::HostSystem;
use aws::kinesis::Kinesis;
use axum::extract::FromRef;
use domain::publish::EventPublisher;
use domain::signing::Issuer;
use domain::store::StreamReader;
use domain::stream_cache::CachedStreams;
use domain::system::System;
use http_edge::Authenticator;

/// Settings of this function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `TABLE_NAME`: the table.
    pub table_name: String,
    /// `TOKEN_ISSUER` and `TOKEN_AUDIENCE`: whose tokens are accepted.
    pub issuer: Issuer,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Every variable that is missing.
    pub fn from_env() -> Result<Self, BadEnvironment> {
        let mut environment = Environment::new(&process);
        let settings = Self {
            table_name: environment.text("TABLE_NAME"),
            issuer: Issuer { issuer: environment.text("TOKEN_ISSUER"), audience: environment.text("TOKEN_AUDIENCE") },
        };
        environment.finish(settings)
    }
}

/// The ports that this function uses.
#[derive(Clone)]
pub struct Context {
    /// Finds streams, from memory when it can.
    pub streams: Arc<dyn StreamReader>,
    /// Takes events.
    pub publisher: Arc<dyn EventPublisher>,
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// Clock, sleep, chance.
    pub system: Arc<dyn System>,
}

impl Context {
    /// Connects to AWS and loads the public keys.
    ///
    /// # Errors
    /// A bad environment.
    pub async fn from_env() -> Result<Self, BadEnvironment> {
        let settings = Settings::from_env()?;
        let config = aws::connect().await;
        let table = Arc::new(Table::new(&config, settings.table_name));
        let system: Arc<dyn System> = Arc::new(HostSystem);
        let authenticator = Arc::new(Authenticator::new(&settings.issuer, table.clone(), system.clone()));
        authenticator.warm_up().await;
        let streams = Arc::new(CachedStreams::new(table, system.clone()));
        Ok(Self { streams, publisher: Arc::new(Kinesis::new(&config)), authenticator, system })
    }
}

impl FromRef<Context> for Arc<dyn StreamReader> {
    fn from_ref(context: &Context) -> Self {
        context.streams.clone()
    }
}
