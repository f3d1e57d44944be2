//! What is kept warm between requests.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::host_system::HostSystem;
use aws::kms::KmsKey;
use domain::environment::{BadEnvironment, Environment, process};
use domain::signing::Issuer;
use domain::token::TokenIssuer;

/// The ports that this function uses.
pub struct Context {
    /// Makes tokens.
    pub tokens: TokenIssuer,
}

impl Context {
    /// Connects to AWS. `TABLE_NAME` is the table, `SIGNING_KEY_ID` the KMS key, `TOKEN_ISSUER` and `TOKEN_AUDIENCE` stand in every token.
    ///
    /// # Errors
    /// A bad environment.
    pub async fn from_env() -> Result<Self, BadEnvironment> {
        let mut environment = Environment::new(&process);
        let (table_name, key_id) = (environment.text("TABLE_NAME"), environment.text("SIGNING_KEY_ID"));
        let issuer = Issuer { issuer: environment.text("TOKEN_ISSUER"), audience: environment.text("TOKEN_AUDIENCE") };
        let (table_name, key_id, issuer) = environment.finish((table_name, key_id, issuer))?;
        let config = aws::connect().await;
        let signer = Arc::new(KmsKey::new(&config, key_id));
        let keys = Arc::new(Table::new(&config, table_name));
        Ok(Self { tokens: TokenIssuer { signer, keys, issuer, system: Arc::new(HostSystem) } })
    }
}
