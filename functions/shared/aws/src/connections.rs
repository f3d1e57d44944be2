//! The connections to AWS that all clients of a function share.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;

/// The SDK's own HTTP client, which looks through the root certificates once instead of once more for each client that is made.
#[derive(Debug)]
pub(crate) struct Connections {
    shared: SharedHttpClient,
    is_checked: AtomicBool,
}

impl Connections {
    pub(crate) fn new() -> Self {
        let shared = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
        Self { shared, is_checked: AtomicBool::new(false) }
    }
}

impl HttpClient for Connections {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.shared.http_connector(settings, components)
    }

    /// Reads the certificates: with the first client, so at the start of the function, when Lambda gives it the most to compute with.
    fn validate_base_client_config(&self, components: &RuntimeComponentsBuilder, config: &ConfigBag) -> Result<(), BoxError> {
        if self.is_checked.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.shared.validate_base_client_config(components, config)
    }
}
