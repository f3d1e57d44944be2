//! What is kept warm between requests.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::environment::{BadEnvironment, Environment, process};
use aws::host_system::HostSystem;
use aws::s3::DataBucket;
use axum::extract::FromRef;
use domain::history::{HistoryLimits, StoredObjects};
use domain::signing::Issuer;
use domain::store::StreamReader;
use domain::system::System;
use http_edge::Authenticator;

/// Settings of this function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `TABLE_NAME`: the table.
    pub table_name: String,
    /// `TOKEN_ISSUER` and `TOKEN_AUDIENCE`: whose tokens are accepted.
    pub issuer: Issuer,
    /// `DATA_BUCKET`: where sinks write.
    pub data_bucket: String,
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
            data_bucket: environment.text("DATA_BUCKET"),
        };
        environment.finish(settings)
    }
}

/// The ports that this function uses.
#[derive(Clone)]
pub struct Context {
    /// Finds streams. Not from memory: a sink that has just been enabled has a history at once.
    pub streams: Arc<dyn StreamReader>,
    /// What sinks wrote.
    pub objects: Arc<dyn StoredObjects>,
    /// How much one query may hold and read.
    pub limits: HistoryLimits,
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// The clock.
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
        let objects = Arc::new(DataBucket::new(&config, settings.data_bucket));
        Ok(Self { streams: table, objects, limits: HistoryLimits::default(), authenticator, system })
    }
}

impl FromRef<Context> for Arc<dyn StreamReader> {
    fn from_ref(context: &Context) -> Self {
        context.streams.clone()
    }
}
