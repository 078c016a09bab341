//! Those who are wrong about who is asking.

use super::usual::Usual;
use http::request::Parts;
use rate_limiting::http_limits::{Forwarding, Limits, Proxies};
use std::net::{IpAddr, Ipv6Addr};

/// By address and nothing else: an office shares one quota, and a user who changes from the train
/// to the office has two. Rejected by `who_before_where`.
pub(super) struct OnlyByAddress;

impl Usual for OnlyByAddress {
    fn key<L>(limits: &Limits<L>, head: &Parts) -> String {
        Self::network(Self::address(limits, head)).to_string()
    }
}

/// One namespace for names and addresses. Who registers as `203.0.113.7` spends what belongs to
/// somebody else. Rejected by `who_before_where`.
pub(super) struct NameLikeAnAddress;

impl Usual for NameLikeAnAddress {
    fn key<L>(limits: &Limits<L>, head: &Parts) -> String {
        let address = || Self::network(Self::address(limits, head)).to_string();
        limits.rules.who(head).unwrap_or_else(address)
    }
}

/// The first address of X-Forwarded-For, whoever sent it: a bot has as many quotas as there are
/// numbers. Rejected by `forged_address`.
pub(super) struct BelievesAnybody;

impl Usual for BelievesAnybody {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let said = limits.proxies.hops(&head.headers).into_iter().flatten().next();
        said.or_else(|| limits.rules.peer(head)).unwrap_or(UNKNOWN)
    }
}

const UNKNOWN: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// `X-Real-IP`, since the proxy at home sets it. Here nobody does, or anybody. Rejected by
/// `forged_address`.
pub(super) struct RealIp;

impl Usual for RealIp {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let said =
            head.headers.get("x-real-ip").and_then(|value| value.to_str().ok()?.parse().ok());
        said.or_else(|| limits.rules.peer(head)).unwrap_or(UNKNOWN)
    }
}

/// Believes only trusted proxies, and then the left end of what they pass on, which is where the
/// client could write. Rejected by `address_behind_proxies`.
pub(super) struct Leftmost;

impl Usual for Leftmost {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let peer = limits.rules.peer(head).unwrap_or(UNKNOWN);
        match limits.proxies.trust(peer) {
            true => limits.proxies.hops(&head.headers).into_iter().flatten().next().unwrap_or(peer),
            false => peer,
        }
    }
}

/// The right end, which nobody can forge. Behind two proxies it is the other proxy, and all
/// clients of the shop are one. Rejected by `address_behind_proxies`.
pub(super) struct NearestHop;

impl Usual for NearestHop {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let peer = limits.rules.peer(head).unwrap_or(UNKNOWN);
        match limits.proxies.trust(peer) {
            true => limits.proxies.hops(&head.headers).pop().flatten().unwrap_or(peer),
            false => peer,
        }
    }
}

/// `headers.get`, which gives the first of several lines: the client's own, where the proxy adds
/// one. Rejected by `address_behind_proxies`.
pub(super) struct FirstLineOnly;

impl Usual for FirstLineOnly {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let mut head = head.clone();
        if let Some(first) = head.headers.get("x-forwarded-for").cloned() {
            head.headers.insert("x-forwarded-for", first);
        }
        Honest::address(limits, &head)
    }
}

struct Honest;

impl Usual for Honest {}

/// `Forwarded` is the standard, so it goes first, if it is there. These proxies write the other
/// one, and let this one through as the client sent it. Rejected by `address_behind_proxies`.
pub(super) struct BelievesTheOtherHeader;

impl Usual for BelievesTheOtherHeader {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let standard = Proxies { header: Forwarding::Forwarded, ..limits.proxies.clone() };
        let peer = limits.rules.peer(head).unwrap_or(UNKNOWN);
        match standard.hops(&head.headers).into_iter().flatten().next_back() {
            Some(said) if limits.proxies.trust(peer) => said,
            _ => Honest::address(limits, head),
        }
    }
}

/// IPv6 addresses one by one: each customer has 18 quintillion of them. Rejected by `ipv6_by_64`.
pub(super) struct EveryHostOfANetwork;

impl Usual for EveryHostOfANetwork {
    fn network(address: IpAddr) -> IpAddr {
        address.to_canonical()
    }
}

/// The first 64 bits, also of `::ffff:203.0.113.7`, as a dual-stack socket shows IPv4: all of IPv4
/// is one client. Rejected by `ipv6_by_64`.
pub(super) struct MappedCutShort;

impl Usual for MappedCutShort {
    fn network(address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
            four => four,
        }
    }
}

/// Jumps over what is no address and takes the next to the left, which is where the client could
/// write. The proxy said `unknown`, as it may, and the client is whoever it likes. Rejected by
/// `address_behind_proxies`.
pub(super) struct SkipsTheUnknown;

impl Usual for SkipsTheUnknown {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let peer = limits.rules.peer(head).unwrap_or(UNKNOWN);
        if !limits.proxies.trust(peer) {
            return peer;
        }
        let hops = limits.proxies.hops(&head.headers).into_iter().flatten();
        hops.rev().find(|hop| !limits.proxies.trust(*hop)).unwrap_or(peer)
    }
}

/// Reads X-Forwarded-For, as everybody sends it, whatever these proxies write. Where they write
/// `Forwarded`, X-Forwarded-For is the client's own. Rejected by `address_behind_proxies`.
pub(super) struct OnlyXForwardedFor;

impl Usual for OnlyXForwardedFor {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let usual = Proxies { header: Forwarding::XForwardedFor, ..limits.proxies.clone() };
        let Some(mut known) = limits.rules.peer(head) else { return UNKNOWN };
        for hop in usual.hops(&head.headers).into_iter().rev() {
            match hop {
                Some(hop) if usual.trust(known) => known = hop,
                _ => break,
            }
        }
        known
    }
}

/// A proxy always sends the header, so there is always an address in it. Until the load balancer's
/// own question comes, which it forwards from nobody. Rejected by `address_behind_proxies`.
pub(super) struct PanicsWithoutHeader;

impl Usual for PanicsWithoutHeader {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let peer = limits.rules.peer(head).unwrap_or(UNKNOWN);
        if !limits.proxies.trust(peer) {
            return peer;
        }
        let known = Honest::address(limits, head);
        assert!(known != peer, "a proxy says for whom it asks");
        known
    }
}

/// Every connection has another end, so `unwrap`. A server on a unix socket does not know it.
/// Rejected by `forged_address`.
pub(super) struct PanicsWithoutPeer;

impl Usual for PanicsWithoutPeer {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        limits.rules.peer(head).expect("a connection has another end");
        Honest::address(limits, head)
    }
}

/// Where the server does not know the other end, a header is better than nothing. It is worse:
/// anybody writes it. Rejected by `forged_address`.
pub(super) struct HeaderWithoutPeer;

impl Usual for HeaderWithoutPeer {
    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        match limits.rules.peer(head) {
            Some(_) => Honest::address(limits, head),
            None => {
                limits.proxies.hops(&head.headers).into_iter().flatten().next().unwrap_or(UNKNOWN)
            }
        }
    }
}
