//! What is kept warm between messages.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::host_system::HostSystem;
use domain::environment::{BadEnvironment, Environment, process};
use domain::store::{StackIndex, StreamWriter};
use domain::system::System;

/// The ports that this function uses.
pub struct Context {
    /// Finds what a stack was made for.
    pub stacks: Arc<dyn StackIndex>,
    /// Notes what became of it.
    pub streams: Arc<dyn StreamWriter>,
    /// Clock.
    pub system: Arc<dyn System>,
}

impl Context {
    /// Connects to AWS. `TABLE_NAME` is the table.
    ///
    /// # Errors
    /// A bad environment.
    pub async fn from_env() -> Result<Self, BadEnvironment> {
        let mut environment = Environment::new(&process);
        let table_name = environment.text("TABLE_NAME");
        let table_name = environment.finish(table_name)?;
        let table = Arc::new(Table::new(&aws::connect().await, table_name));
        Ok(Self { stacks: table.clone(), streams: table, system: Arc::new(HostSystem) })
    }
}
