//! The `process-stream` Lambda function.

use lambda_runtime::service_fn;
use process_stream::context::Context;
use process_stream::handler::handle;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let context = Context::from_env().await?;
    lambda_runtime::run(service_fn(|event| handle(&context, event))).await
}
