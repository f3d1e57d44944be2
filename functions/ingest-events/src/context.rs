//! What is kept warm between requests.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::firehose::Firehose;
use aws::host_system::HostSystem;
use aws::kinesis::Kinesis;
use axum::extract::FromRef;
use domain::dead_letter::DeadLetters;
use domain::environment::{BadEnvironment, Environment, process};
use domain::publish::EventPublisher;
use domain::store::StreamReader;
use domain::stream_cache::CachedStreams;
use domain::system::System;
use http_edge::{Authenticator, TrustSettings};

/// Settings of this function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `TABLE_NAME`: the table.
    pub table_name: String,
    /// Whose tokens are accepted.
    pub trust: TrustSettings,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Every variable that is missing.
    pub fn from_env() -> Result<Self, BadEnvironment> {
        let mut environment = Environment::new(&process);
        let settings = Self { table_name: environment.text("TABLE_NAME"), trust: TrustSettings::read(&mut environment) };
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
    /// Keeps events that are not valid.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// Clock, sleep, chance.
    pub system: Arc<dyn System>,
}

impl Context {
    /// Connects to AWS and loads the public keys.
    ///
    /// # Errors
    /// A bad environment, or no way to call an external issuer.
    pub async fn from_env() -> Result<Self, lambda_http::Error> {
        let settings = Settings::from_env()?;
        let config = aws::connect().await;
        let table = Arc::new(Table::new(&config, settings.table_name));
        let system: Arc<dyn System> = Arc::new(HostSystem);
        let authenticator = settings.trust.authenticator(table.clone(), system.clone()).await?;
        let streams = Arc::new(CachedStreams::new(table, system.clone()));
        let dead_letters = Arc::new(Firehose::new(&config, system.clone()));
        Ok(Self { streams, publisher: Arc::new(Kinesis::new(&config)), dead_letters, authenticator, system })
    }
}

impl FromRef<Context> for Arc<dyn StreamReader> {
    fn from_ref(context: &Context) -> Self {
        context.streams.clone()
    }
}
