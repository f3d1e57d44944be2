//! The `query-history` Lambda function.

use query_history::context::Context;
use query_history::routes;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start();
    let context = Context::from_env().await?;
    let app = routes::app(context);
    lambda_http::run(app).await
}
