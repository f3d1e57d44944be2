//! Which addresses belong to the public Internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The IPv4 blocks that are not public.
///
/// Sources: <https://www.iana.org/assignments/iana-ipv4-special-registry>, and
/// <https://www.iana.org/assignments/ipv4-address-space> for multicast.
const NOT_PUBLIC_V4: [Ipv4Net; 15] = [
    // "This network", with 0.0.0.0 itself.
    v4([0, 0, 0, 0], 8),
    // Private.
    v4([10, 0, 0, 0], 8),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    // Shared by the customers of a carrier.
    v4([100, 64, 0, 0], 10),
    // Loopback.
    v4([127, 0, 0, 0], 8),
    // Link-local; the metadata and credentials of AWS are here.
    v4([169, 254, 0, 0], 16),
    // IETF protocol assignments.
    v4([192, 0, 0, 0], 24),
    // Documentation.
    v4([192, 0, 2, 0], 24),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Relays of 6to4, deprecated.
    v4([192, 88, 99, 0], 24),
    // Benchmarking.
    v4([198, 18, 0, 0], 15),
    // Multicast.
    v4([224, 0, 0, 0], 4),
    // Reserved; broadcast is its last address.
    v4([240, 0, 0, 0], 4),
];

/// The IPv6 block that public addresses are given from (<https://www.iana.org/assignments/ipv6-address-space>).
///
/// Outside it are, among others: unspecified and loopback (`::/128`, `::1/128`), IPv4 in disguise (`::/96`, `::ffff:0:0/96`, and for
/// NAT64 `64:ff9b::/96` and `64:ff9b:1::/48`), discard (`100::/64`), segment routing (`5f00::/16`), unique-local (`fc00::/7`),
/// link-local (`fe80::/10`), site-local (`fec0::/10`) and multicast (`ff00::/8`).
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0], 3);

/// The blocks of [`GLOBAL_UNICAST`] that are not public (<https://www.iana.org/assignments/iana-ipv6-special-registry>).
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    // IETF protocol assignments: Teredo (2001::/32), benchmarking (2001:2::/48), ORCHID and others.
    v6([0x2001, 0], 23),
    // Documentation.
    v6([0x2001, 0xdb8], 32),
    v6([0x3fff, 0], 20),
    // 6to4: IPv4 in disguise.
    v6([0x2002, 0], 16),
];

/// Says whether an address is one of the public Internet. IPv4 in an IPv6 disguise never is.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|block| block.contains(&address)),
        IpAddr::V6(address) => GLOBAL_UNICAST.contains(&address) && !NOT_PUBLIC_V6.iter().any(|block| block.contains(&address)),
    }
}

const fn v4(bytes: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = bytes;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(begin: [u16; 2], prefix: u8) -> Ipv6Net {
    let [a, b] = begin;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_all(addresses: &[&str], expected: bool) {
        for text in addresses {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(is_public(address), expected, "{text}");
        }
    }

    #[test]
    fn addresses_of_the_public_internet_are_public() {
        assert_all(&["1.1.1.1", "8.8.8.8", "52.95.110.1", "2606:4700:4700::1111", "2a00:1450:4001::8a", "2600:1f18::1"], true);
    }

    #[test]
    fn the_first_and_last_address_of_each_special_ipv4_block_are_not_public() {
        assert_all(&["0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255"], false);
        assert_all(&["127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "169.254.255.255"], false);
        assert_all(&["172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255"], false);
        assert_all(&["192.88.99.0", "192.88.99.255", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255"], false);
        assert_all(&["198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255", "224.0.0.0", "239.255.255.255"], false);
        assert_all(&["240.0.0.0", "255.255.255.254", "255.255.255.255"], false);
    }

    #[test]
    fn the_neighbours_of_special_ipv4_blocks_are_public() {
        assert_all(&["1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"], true);
        assert_all(&["169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0"], true);
        assert_all(&["192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"], true);
        assert_all(&["198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"], true);
    }

    #[test]
    fn special_ipv6_addresses_are_not_public() {
        assert_all(&["::", "::1", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1"], false);
        assert_all(&["2001:db8::1", "2001:db8:ffff::1", "3fff::1", "3fff:fff::1", "2001:2::1", "2001:20::1", "5f00::1"], false);
    }

    #[test]
    fn ipv4_in_an_ipv6_disguise_is_not_public_whatever_it_hides() {
        assert_all(&["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8", "::ffff:0:8.8.8.8"], false);
        assert_all(&["64:ff9b::8.8.8.8", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:808:808::1", "2001::1", "2001:0:ffff::1"], false);
    }

    #[test]
    fn the_neighbours_of_special_ipv6_blocks_are_public() {
        assert_all(&["2000::1", "2001:200::1", "2001:db7::1", "2001:db9::1", "2003::1", "3ffe::1", "3fff:1000::1"], true);
    }
}
