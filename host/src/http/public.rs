//! Which addresses are the public internet's. What is asked for on somebody else's word, such as a webhook's URL out of a settings
//! file, must not reach into the network that this program runs in (server-side request forgery).

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host that may not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at {address}, which is {what}")]
pub struct NotPublic {
    /// The host as it was named.
    pub host: String,
    /// One of its addresses.
    pub address: IpAddr,
    /// What kind of address that is.
    pub what: &'static str,
}

/// What an address is if not a public one (IANA's special-purpose registries, RFC 6890, and the addresses at which clouds answer
/// with a machine's credentials). Addresses of one family inside the other are judged by what they lead to.
#[must_use]
pub fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [127, ..] => Some("a loopback address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
        [169, 254, 169, 254] | [168, 63, 129, 16] | [192, 0, 0, 192] | [100, 100, 100, 200] => Some("a cloud's metadata service"),
        [169, 254, ..] => Some("a link-local address"),
        [100, 64..=127, ..] => Some("an address shared within a provider's network"),
        [0, ..] => Some("an address of this network"),
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => Some("a special-purpose address"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("an address for documentation"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("a reserved address"),
        _ => None,
    }
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        special_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("no address of a host"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        // Mapped, compatible, translated by NAT64, 6to4: an IPv4 address each.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfc00..=0xfdff, ..] => Some("a unique-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("an address for documentation"),
        [0x2001, 0..=0x1ff, ..] | [0x100, 0, 0, _, ..] | [0x5f00, ..] => Some("a special-purpose address"),
        // Only 2000::/3 is given out for the public internet.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

/// Whether a URL names a host by an address that may not be reached. Names are looked at when they are resolved.
///
/// # Errors
/// [`NotPublic`].
pub fn check_literal(url: &reqwest::Url) -> Result<(), NotPublic> {
    // The parser has made decimal, octal and shortened forms of an address one of four numbers by now.
    let host = url.host_str().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse() {
        Ok(address) => check(host, address),
        Err(_) => Ok(()),
    }
}

fn check(host: &str, address: IpAddr) -> Result<(), NotPublic> {
    special(address).map_or(Ok(()), |what| Err(NotPublic { host: host.to_owned(), address, what }))
}

/// Resolves names to public addresses only. The addresses it gives are those that are connected to: nobody asks a second time, to be
/// told another address then.
#[derive(Debug)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One that is not public spoils the others: nobody has a good reason to mix them.
            for address in &found {
                check(name.as_str(), address.ip())?;
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_public_is_told_in_every_form() {
        let urls = [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://10.0.0.1/",
            "https://172.16.0.1/",
            "https://172.31.255.255/",
            "https://192.168.1.1/",
            "https://[fd00:ec2::254]/",
            "https://169.254.169.254/",
            "https://[::ffff:169.254.169.254]/",
            "https://168.63.129.16/",
            "https://100.100.100.200/",
            "https://100.64.0.1/",
            "https://[fe80::1]/",
            "https://[fec0::1]/",
            "https://0.0.0.0/",
            "https://0/",
            "https://[::]/",
            "https://255.255.255.255/",
            "https://224.0.0.1/",
            "https://[ff02::1]/",
            "https://[2001:db8::1]/",
            "https://[64:ff9b:1::1]/",
            "https://[2001::1]/",
            "https://[4000::1]/",
            "https://198.18.0.1/",
        ];
        for url in urls {
            assert!(check_literal(&reqwest::Url::parse(url).unwrap()).is_err(), "{url}");
        }
        for url in [
            "https://172.15.0.1/",
            "https://172.32.0.1/",
            "https://8.8.8.8/",
            "https://[2606:4700::1]/",
            "https://[64:ff9b::808:808]/",
            "https://example.com/",
        ] {
            assert_eq!(check_literal(&reqwest::Url::parse(url).unwrap()), Ok(()), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused() {
        let error = PublicOnly.resolve("localhost".parse().unwrap()).await.err().unwrap();
        let refused = error.downcast_ref::<NotPublic>().unwrap();
        assert_eq!((refused.host.as_str(), refused.what), ("localhost", "a loopback address"));
    }

    proptest! {
        #[test]
        fn an_address_is_judged_alike_in_both_families(bits: u32) {
            let four = Ipv4Addr::from(bits);
            prop_assert_eq!(special(IpAddr::V4(four)), special(IpAddr::V6(four.to_ipv6_mapped())));
            let [a, b, c, d] = four.octets();
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            prop_assert_eq!(special(IpAddr::V4(four)), special(IpAddr::V6(nat64)));
        }
    }
}
