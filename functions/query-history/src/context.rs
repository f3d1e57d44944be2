//! What is kept warm between requests.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::host_system::HostSystem;
use aws::kinesis::Kinesis;
use aws::s3::DataBucket;
use axum::extract::FromRef;
use domain::environment::{BadEnvironment, Environment, process};
use domain::history::{HistoryLimits, StoredObjects};
use domain::letters::{LetterLimits, RawStreams, RedriveMarks};
use domain::store::StreamReader;
use domain::system::System;
use http_edge::{Authenticator, TrustSettings};

/// Settings of this function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `TABLE_NAME`: the table.
    pub table_name: String,
    /// Whose tokens are accepted.
    pub trust: TrustSettings,
    /// `DATA_BUCKET`: where sinks write, and dead letters lie.
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
            trust: TrustSettings::read(&mut environment),
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
    /// What sinks wrote, and dead letters.
    pub objects: Arc<dyn StoredObjects>,
    /// How much one query may hold and read.
    pub limits: HistoryLimits,
    /// Which dead letters were put back.
    pub marks: Arc<dyn RedriveMarks>,
    /// Takes them back.
    pub raw_streams: Arc<dyn RawStreams>,
    /// How much one request for dead letters may hold and do.
    pub letter_limits: LetterLimits,
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// The clock.
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
            streams: table.clone(),
            objects: Arc::new(DataBucket::new(&config, settings.data_bucket)),
            limits: HistoryLimits::default(),
            marks: table,
            raw_streams: Arc::new(Kinesis::new(&config)),
            letter_limits: LetterLimits::default(),
            authenticator,
            system,
        })
    }
}

impl FromRef<Context> for Arc<dyn StreamReader> {
    fn from_ref(context: &Context) -> Self {
        context.streams.clone()
    }
}
