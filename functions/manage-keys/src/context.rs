//! What is kept warm between requests.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::host_system::HostSystem;
use aws::kms::KmsKey;
use domain::api_key::ApiKeyStore;
use domain::environment::{BadEnvironment, Environment, process};
use domain::system::System;
use domain::token::TokenIssuer;
use http_edge::{Authenticator, TrustSettings};

/// Settings of this function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `TABLE_NAME`: the table.
    pub table_name: String,
    /// `SIGNING_KEY_ID`: the KMS key.
    pub signing_key_id: String,
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
        let settings = Self {
            table_name: environment.text("TABLE_NAME"),
            signing_key_id: environment.text("SIGNING_KEY_ID"),
            trust: TrustSettings::read(&mut environment),
        };
        environment.finish(settings)
    }
}

/// The ports that this function uses.
#[derive(Clone)]
pub struct Context {
    /// Keeps API keys.
    pub keys: Arc<dyn ApiKeyStore>,
    /// Makes tokens.
    pub tokens: Arc<TokenIssuer>,
    /// Verifies tokens, and knows the public keys.
    pub authenticator: Arc<Authenticator>,
    /// Clock and chance.
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
        let signer = Arc::new(KmsKey::new(&config, settings.signing_key_id));
        let issuer = settings.trust.own.clone();
        let tokens = Arc::new(TokenIssuer { signer, keys: table.clone(), issuer, system: system.clone() });
        let authenticator = settings.trust.authenticator(table.clone(), system.clone()).await?;
        Ok(Self { keys: table, tokens, authenticator, system })
    }
}
