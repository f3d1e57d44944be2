//! What is kept warm between requests.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::host_system::HostSystem;
use aws::stack_settings::StackSettings;
use axum::extract::FromRef;
use domain::environment::{BadEnvironment, Environment, process};
use domain::provision::{Pacer, Provisioning, StackProvisioner, Streams};
use domain::resource::ResourceStore;
use domain::stack_request::Deployment;
use domain::stats::StatsReader;
use domain::store::{FaultyStreams, StreamReader};
use domain::system::System;
use http_edge::{Authenticator, TrustSettings};

use crate::routes::ready::Readiness;

/// Settings of this function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `TABLE_NAME`: the table.
    pub table_name: String,
    /// Whose tokens are accepted.
    pub trust: TrustSettings,
    /// How stacks are made.
    pub stacks: StackSettings,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Every variable that is missing or unreadable.
    pub fn from_env() -> Result<Self, BadEnvironment> {
        let mut environment = Environment::new(&process);
        let settings = Self {
            table_name: environment.text("TABLE_NAME"),
            trust: TrustSettings::read(&mut environment),
            stacks: StackSettings::read(&mut environment),
        };
        environment.finish(settings)
    }
}

/// The ports that this function uses.
#[derive(Clone)]
pub struct Context {
    /// Keeps streams.
    pub streams: Arc<dyn Streams>,
    /// The same, for the edge's look-ups.
    pub reader: Arc<dyn StreamReader>,
    /// Knows what streams have done.
    pub stats: Arc<dyn StatsReader>,
    /// Keeps resources.
    pub resources: Arc<dyn ResourceStore>,
    /// Runs stacks.
    pub stacks: Arc<dyn StackProvisioner>,
    /// What every stack is given.
    pub deployment: Arc<Deployment>,
    /// Paces questions about stacks.
    pub pacer: Arc<Pacer>,
    /// Knows what is broken.
    pub readiness: Arc<Readiness>,
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
        let stacks = Arc::new(settings.stacks.cloudformation(&config));
        let system: Arc<dyn System> = Arc::new(HostSystem);
        let authenticator = settings.trust.authenticator(table.clone(), system.clone()).await?;
        Ok(Self::new(table, stacks, settings.stacks.deployment, authenticator, system))
    }

    /// Puts the ports together. One store serves all that is kept.
    pub fn new<T>(
        store: Arc<T>,
        stacks: Arc<dyn StackProvisioner>,
        deployment: Deployment,
        authenticator: Arc<Authenticator>,
        system: Arc<dyn System>,
    ) -> Self
    where
        T: Streams + FaultyStreams + StatsReader + ResourceStore + 'static,
    {
        Self {
            streams: store.clone(),
            reader: store.clone(),
            stats: store.clone(),
            resources: store.clone(),
            stacks,
            deployment: Arc::new(deployment),
            pacer: Arc::default(),
            readiness: Arc::new(Readiness::new(store, system.clone())),
            authenticator,
            system,
        }
    }

    /// The domain's service over these ports.
    pub fn provisioning(&self) -> Provisioning<'_> {
        Provisioning {
            store: self.streams.as_ref(),
            stacks: self.stacks.as_ref(),
            system: self.system.as_ref(),
            deployment: &self.deployment,
            pacer: &self.pacer,
        }
    }
}

impl FromRef<Context> for Arc<dyn StreamReader> {
    fn from_ref(context: &Context) -> Self {
        context.reader.clone()
    }
}
