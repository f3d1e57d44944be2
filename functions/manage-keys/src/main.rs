//! The `manage-keys` Lambda function.

use manage_keys::context::Context;
use manage_keys::routes;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let context = Context::from_env().await?;
    let app = routes::app(context);
    lambda_http::run(app).await
}
