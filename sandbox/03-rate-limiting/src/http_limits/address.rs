//! Where a request comes from, and who may say so.

use http::HeaderMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The proxies in front of this server, and in which header they write down from whom they got a
/// request. By default there are none, and no header is believed.
///
/// Anybody can send such a header. A proxy only appends to what came in, so the left end of it is
/// whatever the client liked to write. What a trusted proxy has appended is true, and that is read
/// from the right: <https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#security_and_privacy_concerns>.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Where they are.
    pub trusted: Vec<Network>,
    /// Where they write it down. Only this header is read: the proxy passes the other one on as
    /// the client has sent it.
    pub header: Forwarding,
}

/// A header in which proxies write down from whom they got a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// `X-Forwarded-For: 203.0.113.7, 10.0.0.2`, which no standard describes and most proxies send.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=203.0.113.7, for="[2001:db8::1]:4711"`, RFC 7239.
    Forwarded,
}

impl Proxies {
    /// Whether `address` is one of them.
    pub fn trust(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.holds(address))
    }

    /// The addresses that stand in the header, from left to right, over all its lines: a second
    /// line is the continuation of the first (RFC 9110, section 5.3). `None` where something else
    /// stands, such as `unknown` or a made-up name. Nothing is judged here: the left part of it may
    /// be invented.
    pub fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let name = match self.header {
            Forwarding::XForwardedFor => "x-forwarded-for",
            Forwarding::Forwarded => "forwarded",
        };
        let lines = headers.get_all(name).iter();
        let entries = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let entries = entries.map(|entry| std::str::from_utf8(entry).unwrap_or_default());
        match self.header {
            Forwarding::XForwardedFor => entries.map(node).collect(),
            Forwarding::Forwarded => entries.map(|element| node(the_for(element)?)).collect(),
        }
    }

    // ANCHOR: client
    /// Where a request comes from that arrived from `peer`.
    pub(super) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut known = peer;
        let mut hops = self.hops(headers).into_iter().rev();
        // Each address was written down by the one after it. So it is as good as that one's word.
        while self.trust(known) {
            match hops.next() {
                Some(Some(hop)) => known = hop,
                // The proxy knew it by no address, or is itself who asks: it is counted as the
                // client, as the nearest that is certain.
                Some(None) | None => break,
            }
        }
        known
    }
    // ANCHOR_END: client
}

// ANCHOR: counted
/// The key of an address.
pub(super) fn counted(address: IpAddr) -> String {
    // A dual-stack socket shows 203.0.113.7 as ::ffff:203.0.113.7. Cut after 64 bits, the whole of
    // IPv4 would be one client.
    match address.to_canonical() {
        IpAddr::V4(address) => format!("from:{address}"),
        // A customer gets a /64 at least (RFC 6177) and may use a new address for each request.
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("from:{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
// ANCHOR_END: counted

/// What `for` says in an element of `Forwarded`: RFC 7239, section 4.
fn the_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// `203.0.113.7`, `2001:db8::1`, and both with a port, as some proxies write them.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Addresses with the same first bits: `10.0.0.0/8`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// Text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network: it should be like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1")]
pub struct OddNetwork(String);

impl Network {
    /// Whether `address` is in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        let same = match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(other)) => {
                (u32::from(first) ^ u32::from(other)).leading_zeros()
            }
            (IpAddr::V6(first), IpAddr::V6(other)) => {
                (u128::from(first) ^ u128::from(other)).leading_zeros()
            }
            _ => return false,
        };
        same >= u32::from(self.bits)
    }
}

impl FromStr for Network {
    type Err = OddNetwork;

    fn from_str(text: &str) -> Result<Network, OddNetwork> {
        let odd = || OddNetwork(text.to_owned());
        let (first, bits) = match text.split_once('/') {
            Some((first, bits)) => (first, Some(bits.parse::<u8>().map_err(|_| odd())?)),
            None => (text, None),
        };
        let first: IpAddr = first.parse().map_err(|_| odd())?;
        let longest = if first.is_ipv4() { 32 } else { 128 };
        match bits.unwrap_or(longest) {
            bits if bits <= longest => Ok(Network { first, bits }),
            _ => Err(odd()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(networks: &[&str], header: Forwarding) -> Proxies {
        let trusted = networks.iter().map(|network| network.parse().expect("a network")).collect();
        Proxies { trusted, header }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a header"));
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_holds_what_begins_like_it() {
        let holds = |network: &str, address| network.parse::<Network>().unwrap().holds(ip(address));
        assert!(holds("10.0.0.0/8", "10.255.1.2"));
        assert!(!holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"), "IPv4 in the clothes of IPv6");
        assert!(holds("192.0.2.1", "192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        assert!(holds("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!holds("2001:db8::/33", "2001:db8:8000::1"));
        assert!(holds("0.0.0.0/0", "203.0.113.7") && !holds("0.0.0.0/0", "2001:db8::1"));
        for odd in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "10.0.0.0/-1", "host"] {
            assert_eq!(odd.parse::<Network>(), Err(OddNetwork(odd.to_owned())));
        }
    }

    #[test]
    fn a_header_is_believed_as_far_as_trusted_proxies_have_written_it() {
        let proxies = behind(&["10.0.0.0/8"], Forwarding::XForwardedFor);
        let client = |peer, lines: &[(&'static str, &'static str)]| {
            proxies.client(&headers(lines), ip(peer)).to_string()
        };
        let xff = "x-forwarded-for";
        assert_eq!(client("203.0.113.7", &[(xff, "1.2.3.4")]), "203.0.113.7", "no proxy of ours");
        assert_eq!(client("10.0.0.1", &[(xff, "1.2.3.4, 203.0.113.7")]), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &[(xff, "1.2.3.4, 203.0.113.7, 10.0.0.2")]), "203.0.113.7");
        let lines = [(xff, "1.2.3.4"), (xff, "203.0.113.7 ,10.0.0.2")];
        assert_eq!(client("10.0.0.1", &lines), "203.0.113.7", "two lines are one list");
        assert_eq!(client("10.0.0.1", &[(xff, "1.2.3.4, unknown")]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1", "the proxy itself asks");
        assert_eq!(client("10.0.0.1", &[(xff, "10.0.0.9, 10.0.0.2")]), "10.0.0.9", "from inside");
        assert_eq!(client("10.0.0.1", &[(xff, "203.0.113.7:4711")]), "203.0.113.7");
        assert_eq!(client("10.0.0.1", &[(xff, "[2001:db8::1]:4711")]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &[("forwarded", "for=1.2.3.4")]), "10.0.0.1", "not theirs");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let proxies = behind(&["10.0.0.0/8"], Forwarding::Forwarded);
        let client = |value: &'static str| {
            proxies.client(&headers(&[("forwarded", value)]), ip("10.0.0.1")).to_string()
        };
        assert_eq!(client("for=1.2.3.4, for=203.0.113.7;proto=http;by=10.0.0.1"), "203.0.113.7");
        assert_eq!(client("proto=https; For=\"[2001:db8::17]:4711\""), "2001:db8::17");
        assert_eq!(client("for=1.2.3.4, for=_hidden"), "10.0.0.1");
        assert_eq!(client("for=1.2.3.4, proto=http"), "10.0.0.1");
    }

    #[test]
    fn a_customer_is_a_64_and_an_ipv4_address() {
        let key = |address| counted(ip(address));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:203.0.113.7"), key("203.0.113.7"));
        assert_ne!(key("203.0.113.7"), key("203.0.113.8"));
    }
}
