//! What is kept warm between requests.

use std::sync::Arc;

use aws::cloudformation::{CloudFormation, Templates};
use aws::dynamodb::Table;
use aws::host_system::HostSystem;
use axum::extract::FromRef;
use domain::environment::{BadEnvironment, Environment, process};
use domain::names::Naming;
use domain::provision::{Pacer, Provisioning, StackProvisioner, Streams};
use domain::resource::ResourceStore;
use domain::stack_request::Deployment;
use domain::store::{FaultyStreams, StreamReader};
use domain::system::System;
use http_edge::{Authenticator, TrustSettings};

use crate::routes::ready::Readiness;

/// The templates of the stacks that this function asks for.
pub const TEMPLATES: Templates =
    Templates { stream: include_str!("../../../infra/stacks/stream.yaml"), sink_s3: include_str!("../../../infra/stacks/sink-s3.yaml") };

/// Settings of this function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `TABLE_NAME`: the table.
    pub table_name: String,
    /// Whose tokens are accepted.
    pub trust: TrustSettings,
    /// `STACK_ROLE_ARN`: the role that CloudFormation uses for the stacks.
    pub stack_role_arn: String,
    /// `STACK_TOPIC_ARN`: where CloudFormation reports.
    pub stack_topic_arn: String,
    /// `NAME_PREFIX`, `STACK_PREFIX`, `DATA_BUCKET`, `PROCESS_FUNCTION_ARN`, `PERMISSIONS_BOUNDARY_ARN`, `DEFAULT_SHARDS` and
    /// `DEFAULT_RETENTION_HOURS`: what every stack is given.
    pub deployment: Deployment,
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
            stack_role_arn: environment.text("STACK_ROLE_ARN"),
            stack_topic_arn: environment.text("STACK_TOPIC_ARN"),
            deployment: Deployment {
                naming: Naming { name_prefix: environment.text("NAME_PREFIX"), stack_prefix: environment.text("STACK_PREFIX") },
                data_bucket: environment.text("DATA_BUCKET"),
                process_function_arn: environment.text("PROCESS_FUNCTION_ARN"),
                permissions_boundary_arn: environment.text("PERMISSIONS_BOUNDARY_ARN"),
                default_shards: environment.parsed("DEFAULT_SHARDS"),
                default_retention_hours: environment.parsed("DEFAULT_RETENTION_HOURS"),
            },
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
        let stacks = Arc::new(CloudFormation::new(&config, TEMPLATES, settings.stack_role_arn, settings.stack_topic_arn));
        let system: Arc<dyn System> = Arc::new(HostSystem);
        let authenticator = settings.trust.authenticator(table.clone(), system.clone()).await?;
        Ok(Self::new(table, stacks, settings.deployment, authenticator, system))
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
        T: Streams + FaultyStreams + ResourceStore + 'static,
    {
        Self {
            streams: store.clone(),
            reader: store.clone(),
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
