//! The `issue-token` Lambda function.

use issue_token::context::Context;
use issue_token::handler::handle;
use lambda_runtime::service_fn;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let context = Context::from_env().await?;
    lambda_runtime::run(service_fn(|event| handle(&context, event))).await
}
