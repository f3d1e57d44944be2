//! The `record-stack-status` Lambda function.

use lambda_runtime::service_fn;
use record_stack_status::context::Context;
use record_stack_status::handler::handle;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let context = Context::from_env().await?;
    lambda_runtime::run(service_fn(|event| handle(&context, event))).await
}
