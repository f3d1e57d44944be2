//! What a function needs that runs stacks.

use aws_config::SdkConfig;
use domain::environment::Environment;
use domain::names::Naming;
use domain::stack_request::Deployment;

use crate::cloudformation::{CloudFormation, Templates};

/// The templates of the stacks of streams and sinks.
pub const TEMPLATES: Templates = Templates {
    stream: include_str!("../../../../infra/stacks/stream.yaml"),
    sink_s3: include_str!("../../../../infra/stacks/sink-s3.yaml"),
};

/// How stacks are made in this deployment.
#[derive(Debug, Clone)]
pub struct StackSettings {
    /// `STACK_ROLE_ARN`: the role that CloudFormation uses for the stacks.
    pub role_arn: String,
    /// `STACK_TOPIC_ARN`: where CloudFormation reports.
    pub topic_arn: String,
    /// `NAME_PREFIX`, `STACK_PREFIX`, `DATA_BUCKET`, `PROCESS_FUNCTION_ARN`, `PERMISSIONS_BOUNDARY_ARN`, `DEFAULT_SHARDS` and
    /// `DEFAULT_RETENTION_HOURS`: what every stack is given.
    pub deployment: Deployment,
}

impl StackSettings {
    /// Reads the environment; what is missing or unreadable is told when it is finished.
    pub fn read(environment: &mut Environment<'_>) -> Self {
        Self {
            role_arn: environment.text("STACK_ROLE_ARN"),
            topic_arn: environment.text("STACK_TOPIC_ARN"),
            deployment: Deployment {
                naming: Naming { name_prefix: environment.text("NAME_PREFIX"), stack_prefix: environment.text("STACK_PREFIX") },
                data_bucket: environment.text("DATA_BUCKET"),
                process_function_arn: environment.text("PROCESS_FUNCTION_ARN"),
                permissions_boundary_arn: environment.text("PERMISSIONS_BOUNDARY_ARN"),
                default_shards: environment.parsed("DEFAULT_SHARDS"),
                default_retention_hours: environment.parsed("DEFAULT_RETENTION_HOURS"),
            },
        }
    }

    /// Connects to CloudFormation.
    pub fn cloudformation(&self, config: &SdkConfig) -> CloudFormation {
        CloudFormation::new(config, TEMPLATES, self.role_arn.clone(), self.topic_arn.clone())
    }
}
