//! What a limit in front of an HTTP service must withstand.

mod asking;
mod obeying;
mod passing;
mod scene;
mod shop;
mod telling;

use asking::{address_behind_proxies, cost_by_route, forged_address, ipv6_by_64, who_before_where};
use obeying::obeying_client;
use passing::{asked_first, passed_on, place_given_back, ready_one_is_called};
use rate_limiting::http_limits::HttpLimits;
use telling::{
    every_answer_tells, outage_closed, outage_open, refusal_is_a_problem, retry_after_is_whole,
    spread_is_within_quota,
};

const PAGE: &str = "docs/lessons/http_limits.md";

grading::checks! { S: HttpLimits; read(PAGE);
    every_answer_tells: "every answer tells the policy and what is left of it",
    spread_is_within_quota: "who spreads what is left over the time told keeps to the quota",
    refusal_is_a_problem: "a refusal is 429, with a problem that a program can read",
    retry_after_is_whole: "Retry-After is the next whole second at which it would succeed",
    obeying_client: "a client that waits as it was told succeeds at its first retry",
    outage_open: "an open limiter that is lost lets pass, and shows no quota",
    outage_closed: "a closed limiter that is lost is a 503, and accuses nobody",
    asked_first: "the limiter is asked once and first; what it refuses is never served",
    cost_by_route: "each request costs what its route costs, and some are not limited",
    who_before_where: "a user has one quota wherever they are, and shares it with no address",
    forged_address: "no header changes the key of somebody who comes through no proxy",
    address_behind_proxies: "behind proxies, the address that they have seen counts",
    ipv6_by_64: "a /64 of IPv6 is one client, and an IPv4 address is one, too",
    ready_one_is_called: "the service that said it was ready is the one that is called",
    place_given_back: "a refusal gives back the place that was kept for it",
    passed_on: "a request that is allowed arrives, and is answered, as without a limit",
}
