//! What a deployment may call though it is not public.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use reqwest::Url;

use crate::public_address::is_public;

/// Hosts and networks that may be called though they are not public, and over plain http. Empty by default.
///
/// Reads as entries with commas between them. An entry is the exact name of a host, an address, or a network in CIDR notation:
/// `idp.internal,10.1.2.3,fd00::/64`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    /// In lower case.
    hosts: BTreeSet<String>,
    networks: Vec<IpNet>,
}

/// An entry of an allow list that says nothing clear.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAllowList {
    /// It is no host name, no address and no network.
    #[error("expected a host name, an address or a network such as 10.0.0.0/8, got entry {0:?}")]
    Unreadable(String),
    /// It is a network with more digits than its prefix covers: a typing error as likely as not.
    #[error("expected network {network}, got entry {entry:?}")]
    NotANetwork {
        /// What was written.
        entry: String,
        /// What may have been meant.
        network: IpNet,
    },
}

impl AllowList {
    /// Whether the list names this host.
    pub(crate) fn names_host(&self, host: &str) -> bool {
        self.hosts.contains(&host.to_ascii_lowercase())
    }

    /// Whether this address is inside a network of the list.
    pub(crate) fn covers(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether this address may be called.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        is_public(address) || self.covers(address)
    }
}

impl FromStr for AllowList {
    type Err = BadAllowList;

    fn from_str(text: &str) -> Result<Self, BadAllowList> {
        let mut list = Self::default();
        if text.trim().is_empty() {
            return Ok(list);
        }
        for entry in text.split(',').map(str::trim) {
            if let Some(network) = network(entry)? {
                list.networks.push(network);
            } else {
                list.hosts.insert(host(entry)?);
            }
        }
        Ok(list)
    }
}

fn network(entry: &str) -> Result<Option<IpNet>, BadAllowList> {
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Ok(Some(address.into()));
    }
    let Ok(written) = entry.parse::<IpNet>() else { return Ok(None) };
    let network = written.trunc();
    if written == network { Ok(Some(network)) } else { Err(BadAllowList::NotANetwork { entry: entry.to_owned(), network }) }
}

fn host(entry: &str) -> Result<String, BadAllowList> {
    let name = entry.to_ascii_lowercase();
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    // A name that stands in a URL as something else, such as 127.1, would never match.
    let stays_itself = || Url::parse(&format!("https://{name}/")).is_ok_and(|url| url.host_str() == Some(&name));
    if name.split('.').all(is_label) && stays_itself() { Ok(name) } else { Err(BadAllowList::Unreadable(entry.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> AllowList {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_written_allows_nothing() {
        for text in ["", "  "] {
            assert_eq!(list(text), AllowList::default());
        }
        assert!(!AllowList::default().admits(address("127.0.0.1")));
        assert!(!AllowList::default().names_host("localhost"));
    }

    #[test]
    fn hosts_match_exactly_and_in_any_case() {
        let list = list("Idp.Internal, keys_2.corp");
        assert!(list.names_host("idp.internal") && list.names_host("IDP.INTERNAL") && list.names_host("keys_2.corp"));
        assert!(!list.names_host("x.idp.internal") && !list.names_host("internal") && !list.names_host("idp.internal.example.com"));
        assert!(!list.names_host("idp.internal."));
    }

    #[test]
    fn networks_cover_their_addresses_and_no_others() {
        let list = list("10.1.0.0/16,192.168.7.7,fd00:1::/32,::1");
        for inside in ["10.1.0.0", "10.1.255.255", "192.168.7.7", "fd00:1:2::3", "::1", "8.8.8.8"] {
            assert!(list.admits(address(inside)), "{inside}");
        }
        for outside in ["10.2.0.0", "192.168.7.8", "fd00:2::1", "127.0.0.1", "::ffff:10.1.0.1"] {
            assert!(!list.admits(address(outside)), "{outside}");
        }
        assert!(!list.covers(address("8.8.8.8")), "public, but not listed");
    }

    #[test]
    fn an_unreadable_entry_is_named() {
        let unreadable = ["10.0.0.0/33", "*.example.com", ".example.com", "example.com.", "example.com:443", "https://example.com"];
        let in_disguise = ["me@example.com", "example.com/path", "127.1", "0x7f000001", "2130706433", "[::1]", "bücher.example", ""];
        for entry in unreadable.into_iter().chain(in_disguise) {
            let fault = format!("idp.internal,{entry},10.0.0.0/8").parse::<AllowList>().unwrap_err();
            assert_eq!(fault, BadAllowList::Unreadable(entry.to_owned()));
            assert!(fault.to_string().ends_with(&format!("got entry {entry:?}")), "{fault}");
        }
    }

    #[test]
    fn a_network_with_digits_beyond_its_prefix_is_refused() {
        let fault = "10.1.2.3/8".parse::<AllowList>().unwrap_err();
        assert_eq!(fault.to_string(), "expected network 10.0.0.0/8, got entry \"10.1.2.3/8\"");
    }
}
