//! Which addresses may be connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::OutboundSetupError;

/// Loopback, private, link-local, test, multicast and reserved networks, and those that carry an IPv4 address inside an
/// IPv6 one by way of a gateway (limits.md §5).
pub const PRIVATE_RANGES: [&str; 30] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "2001:10::/28",
    "2001:20::/28",
    "5f00::/16",
];

/// The addresses that are never connected to; by default there are none.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    denied: Vec<IpNet>,
}

impl Policy {
    /// From networks in CIDR notation; a bare address is a network of one.
    pub fn denying<'a>(ranges: impl IntoIterator<Item = &'a str>) -> Result<Self, OutboundSetupError> {
        let parse = |range: &str| {
            range
                .parse::<IpNet>()
                .or_else(|_| range.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| OutboundSetupError::Range(range.to_owned()))
        };
        Ok(Self {
            denied: ranges.into_iter().map(parse).collect::<Result<_, _>>()?,
        })
    }

    /// Whether the address may be connected to, in whatever form it is written.
    pub fn allows(&self, address: IpAddr) -> bool {
        let inside = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => embedded(address),
        };
        !self.denies(address) && inside.is_none_or(|inside| !self.denies(inside.into()))
    }

    fn denies(&self, address: IpAddr) -> bool {
        self.denied.iter().any(|network| network.contains(&address))
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, 6to4, or through a NAT64 gateway.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &Policy, address: &str) -> bool {
        policy.allows(address.parse().unwrap())
    }

    #[test]
    fn i02_private_addresses_are_denied_in_every_form() {
        let policy = Policy::denying(PRIVATE_RANGES).unwrap();
        for denied in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2001::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "fec0::1",
        ] {
            assert!(!allows(&policy, denied), "{denied}");
        }
        for allowed in [
            "1.1.1.1",
            "8.8.8.8",
            "2606:4700::1111",
            "2002:101:101::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(allows(&policy, allowed), "{allowed}");
        }
    }

    #[test]
    fn an_embedded_address_is_held_to_the_operators_ranges_too() {
        let policy = Policy::denying(["1.2.3.0/24", "9.9.9.9"]).unwrap();
        for denied in [
            "1.2.3.4",
            "::ffff:1.2.3.4",
            "2002:102:304::",
            "64:ff9b::1.2.3.4",
            "9.9.9.9",
        ] {
            assert!(!allows(&policy, denied), "{denied}");
        }
        assert!(allows(&policy, "127.0.0.1"));
        assert!(Policy::denying(["nonsense"]).is_err());
    }
}
