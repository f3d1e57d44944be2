//! What is kept warm between messages.

use std::sync::Arc;

use aws::dynamodb::Table;
use aws::host_system::HostSystem;
use aws::stack_settings::StackSettings;
use domain::environment::{BadEnvironment, Environment, process};
use domain::provision::{Pacer, Provisioning, StackProvisioner, Streams};
use domain::stack_request::Deployment;
use domain::store::StackIndex;
use domain::system::System;

/// The ports that this function uses.
pub struct Context {
    /// Finds what a stack was made for.
    pub index: Arc<dyn StackIndex>,
    /// Notes what became of it.
    pub streams: Arc<dyn Streams>,
    /// Runs the stacks that waited for it.
    pub stacks: Arc<dyn StackProvisioner>,
    /// What every stack is given.
    pub deployment: Deployment,
    /// Clock, sleep, chance.
    pub system: Arc<dyn System>,
}

impl Context {
    /// Connects to AWS. `TABLE_NAME` is the table; for the rest see [`StackSettings`].
    ///
    /// # Errors
    /// A bad environment.
    pub async fn from_env() -> Result<Self, BadEnvironment> {
        let mut environment = Environment::new(&process);
        let (table_name, stacks) = (environment.text("TABLE_NAME"), StackSettings::read(&mut environment));
        let (table_name, stacks) = environment.finish((table_name, stacks))?;
        let config = aws::connect().await;
        let table = Arc::new(Table::new(&config, table_name));
        let cloudformation = Arc::new(stacks.cloudformation(&config));
        Ok(Self {
            index: table.clone(),
            streams: table,
            stacks: cloudformation,
            deployment: stacks.deployment,
            system: Arc::new(HostSystem),
        })
    }

    /// The domain's service over these ports.
    pub fn provisioning<'c>(&'c self, pacer: &'c Pacer) -> Provisioning<'c> {
        Provisioning {
            store: self.streams.as_ref(),
            stacks: self.stacks.as_ref(),
            system: self.system.as_ref(),
            deployment: &self.deployment,
            pacer,
        }
    }
}
