//! From names to addresses that may be called.
//!
//! The guard is the resolver itself, so that what was checked is what is connected to: a name that answers with a public address now
//! and a private one a moment later (DNS rebinding) gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::allow_list::AllowList;

/// Looks names up.
#[async_trait::async_trait]
pub(crate) trait NameLookup: Send + Sync {
    /// Finds the addresses of a host.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Asks the machine that we run on.
pub(crate) struct SystemNames;

#[async_trait::async_trait]
impl NameLookup for SystemNames {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// A host has addresses, but none that may be called.
#[derive(Debug, thiserror::Error)]
#[error("no address of host {0:?} is public")]
pub(crate) struct NoPublicAddress(pub(crate) String);

/// Looks names up and drops the addresses that may not be called.
pub(crate) struct GuardedNames {
    pub(crate) allow_list: Arc<AllowList>,
    pub(crate) names: Arc<dyn NameLookup>,
}

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow_list, names) = (self.allow_list.clone(), self.names.clone());
        Box::pin(async move {
            let host = name.as_str();
            let mut addresses = names.addresses(host).await?;
            addresses.retain(|address| allow_list.names_host(host) || allow_list.admits(*address));
            if addresses.is_empty() {
                return Err(NoPublicAddress(host.to_owned()).into());
            }
            // Port 0 stands for the URL's.
            let sockets: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(sockets)
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    /// Answers every name with the next answer of a script; after the script it never answers.
    pub(crate) struct ScriptedNames(Mutex<VecDeque<Vec<IpAddr>>>);

    impl ScriptedNames {
        pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
            let parsed = answers.iter().map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect());
            Arc::new(Self(Mutex::new(parsed.collect())))
        }

        pub(crate) fn answers_left(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    #[async_trait::async_trait]
    impl NameLookup for ScriptedNames {
        async fn addresses(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            let answer = self.0.lock().unwrap().pop_front();
            match answer {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            }
        }
    }

    async fn resolve(guarded: &GuardedNames, host: &str) -> Result<Vec<String>, String> {
        let addresses = guarded.resolve(host.parse().unwrap()).await.map_err(|error| error.to_string())?;
        Ok(addresses.map(|address| address.ip().to_string()).collect())
    }

    fn guarded(allow_list: &str, answers: &[&[&str]]) -> GuardedNames {
        GuardedNames { allow_list: Arc::new(allow_list.parse().unwrap()), names: ScriptedNames::new(answers) }
    }

    #[tokio::test]
    async fn of_a_mixture_only_the_public_addresses_are_left() {
        let guarded = guarded("", &[&["10.0.0.1", "93.184.215.14", "::1", "2606:2800:21f:cb07::1", "169.254.169.254"]]);
        assert_eq!(resolve(&guarded, "mixed.example").await.unwrap(), ["93.184.215.14", "2606:2800:21f:cb07::1"]);
    }

    #[tokio::test]
    async fn a_name_that_turns_private_is_refused_from_then_on() {
        let guarded = guarded("", &[&["93.184.215.14"], &["127.0.0.1", "::ffff:127.0.0.1"]]);
        assert_eq!(resolve(&guarded, "rebinding.example").await.unwrap(), ["93.184.215.14"]);
        let fault = resolve(&guarded, "rebinding.example").await.unwrap_err();
        assert_eq!(fault, "no address of host \"rebinding.example\" is public");
    }

    #[tokio::test]
    async fn a_listed_network_opens_its_addresses_to_every_name() {
        let guarded = guarded("10.1.0.0/16", &[&["10.1.2.3", "10.2.3.4"]]);
        assert_eq!(resolve(&guarded, "any.example").await.unwrap(), ["10.1.2.3"]);
    }

    #[tokio::test]
    async fn a_listed_host_may_have_any_address_and_another_may_not() {
        let guarded = guarded("idp.internal", &[&["10.1.2.3", "::1"], &["10.1.2.3"]]);
        assert_eq!(resolve(&guarded, "idp.internal").await.unwrap(), ["10.1.2.3", "::1"]);
        assert!(resolve(&guarded, "other.internal").await.is_err());
    }

    #[tokio::test]
    async fn the_system_knows_the_addresses_of_localhost_and_the_guard_refuses_them() {
        let found = SystemNames.addresses("localhost").await.unwrap();
        assert!(found.iter().any(IpAddr::is_loopback), "{found:?}");
        let guarded = GuardedNames { allow_list: Arc::default(), names: Arc::new(SystemNames) };
        assert!(resolve(&guarded, "localhost").await.is_err());
    }
}
