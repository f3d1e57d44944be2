//! What is kept warm between requests.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::firehose::Firehose;
use aws::host_system::HostSystem;
use aws::kinesis::Kinesis;
use axum::extract::FromRef;
use domain::dead_letter::DeadLetters;
use domain::environment::{BadEnvironment, Environment, process};
use domain::idempotency::IdempotencyKeys;
use domain::ingest::{Intakes, PreparedIntakes};
use domain::publish::EventPublisher;
use domain::rate_lease::SharedRateLimiter;
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
    /// Finds streams that are ready for events, from memory when it can.
    pub intakes: Arc<dyn Intakes>,
    /// Takes events.
    pub publisher: Arc<dyn EventPublisher>,
    /// Keeps events that are not valid.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Counts for rate limits.
    pub limiter: Arc<SharedRateLimiter>,
    /// Keeps answers for requests that are sent again.
    pub keys: Arc<dyn IdempotencyKeys>,
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
        Ok(Self {
            intakes: Arc::new(PreparedIntakes::new(table.clone(), table.clone(), rules::event_rules::compile, system.clone())),
            publisher: Arc::new(Kinesis::new(&config)),
            dead_letters: Arc::new(Firehose::new(&config, system.clone())),
            limiter: Arc::new(SharedRateLimiter::new(table.clone())),
            keys: table,
            authenticator,
            system,
        })
    }
}

impl FromRef<Context> for Arc<dyn Intakes> {
    fn from_ref(context: &Context) -> Self {
        context.intakes.clone()
    }
}
