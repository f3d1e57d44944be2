//! The client that cannot be turned against us.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Response, StatusCode, Url, redirect};

use crate::allow_list::AllowList;
use crate::names::{GuardedNames, NameLookup, NoPublicAddress, SystemNames};

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingFault {
    /// The URL cannot be called, whatever the allow list says. It may hold a password, so it is not repeated.
    #[error("{0}")]
    BadUrl(String),
    /// The guard refused, and nothing was sent.
    #[error("call to host {host:?} refused: {reason}")]
    Refused {
        /// Whom to call.
        host: String,
        /// What speaks against it.
        reason: &'static str,
    },
    /// Something other than 200 was answered. A redirect is such an answer.
    #[error("expected status 200, got {0}")]
    Status(u16),
    /// The answer is longer than the caller wants, in bytes.
    #[error("expected an answer of at most {0} bytes, got more")]
    TooLarge(usize),
    /// No answer, or half of one: the network, TLS, time, or what the other side said.
    #[error("the call failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// To look up the name, and to connect.
    connect: Duration,
    /// From the start to the last byte of the answer.
    total: Duration,
}

/// Ours: short enough for a request that waits for the call to be answered in time.
const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(2), total: Duration::from_secs(5) };

/// Calls what is public, and what the allow list names. Copies share their connections.
#[derive(Debug, Clone)]
pub struct OutgoingClient {
    http: reqwest::Client,
    allow_list: Arc<AllowList>,
}

impl OutgoingClient {
    /// Opens what the list names beside what is public.
    ///
    /// # Errors
    /// TLS cannot be set up: the machine has no root certificates.
    pub fn new(allow_list: AllowList) -> Result<Self, OutgoingFault> {
        Self::build(allow_list, Arc::new(SystemNames), TIMEOUTS)
    }

    fn build(allow_list: AllowList, names: Arc<dyn NameLookup>, timeouts: Timeouts) -> Result<Self, OutgoingFault> {
        let allow_list = Arc::new(allow_list);
        let http = reqwest::Client::builder()
            .tls_backend_rustls()
            // A proxy would look names up where no guard stands.
            .no_proxy()
            // Calls are far apart, and a connection that was kept through a freeze of the function is dead without knowing it.
            .pool_max_idle_per_host(0)
            .redirect(redirect::Policy::none())
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .dns_resolver(GuardedNames { allow_list: allow_list.clone(), names })
            .user_agent(concat!("millrace/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| OutgoingFault::Failed(error.into()))?;
        Ok(Self { http, allow_list })
    }

    /// Fetches the body behind a URL, which must be answered with 200.
    ///
    /// # Errors
    /// Every [`OutgoingFault`]; [`OutgoingFault::TooLarge`] as soon as the body is known to exceed `max_bytes`.
    pub async fn get(&self, url: &str, max_bytes: usize) -> Result<Bytes, OutgoingFault> {
        let url = self.checked(url)?;
        let response = self.http.get(url).send().await.map_err(call_fault)?;
        if response.status() != StatusCode::OK {
            return Err(OutgoingFault::Status(response.status().as_u16()));
        }
        read_body(response, max_bytes).await
    }

    /// Checks what can be checked before names are looked up.
    fn checked(&self, text: &str) -> Result<Url, OutgoingFault> {
        let url = Url::parse(text).map_err(|error| OutgoingFault::BadUrl(format!("expected a URL: {error}")))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(OutgoingFault::BadUrl(format!("expected an https URL, got scheme {:?}", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutgoingFault::BadUrl("expected a URL without user and password, got one with them".to_owned()));
        }
        let Some(host) = url.host_str() else { return Err(OutgoingFault::BadUrl("expected a URL with a host, got none".to_owned())) };
        let refused = |reason| Err(OutgoingFault::Refused { host: host.to_owned(), reason });
        // `Url` has turned every odd spelling of an address into the usual one, and the connector tells names from addresses as this does.
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        if address.is_some_and(|address| !self.allow_list.admits(address)) {
            return refused("the address is not public");
        }
        let is_listed = address.map_or_else(|| self.allow_list.names_host(host), |address| self.allow_list.covers(address));
        if url.scheme() == "http" && !is_listed {
            return refused("only a listed host may be called over plain http");
        }
        Ok(url)
    }
}

async fn read_body(mut response: Response, max_bytes: usize) -> Result<Bytes, OutgoingFault> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(call_fault)? {
        if chunk.len() > max_bytes - body.len() {
            return Err(OutgoingFault::TooLarge(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Finds the guard's refusal among the causes of a failure.
fn call_fault(error: reqwest::Error) -> OutgoingFault {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(NoPublicAddress(host)) = current.downcast_ref() {
            return OutgoingFault::Refused { host: host.clone(), reason: "it has no public address" };
        }
        cause = current.source();
    }
    // The URL may hold secrets of its owner.
    OutgoingFault::Failed(error.without_url().into())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
