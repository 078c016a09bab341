//! What the metrics of a service must withstand.

mod buckets;
mod exemplars;
mod form;
mod held;
mod pool;
mod reading;
mod requests;
mod scene;
mod scrape;
mod series;

use buckets::{cumulative, on_the_bound};
use exemplars::{at_the_end, exemplars, latest, odd_ids};
use form::{apart, at_zero, scraped_meanwhile, scraped_twice, well_formed};
use observability::metrics::Metrics;
use pool::{gives_up, handed_over, places, unpolled, waits};
use reading::{edges, quantile_of_all, rates_added, restarted};
use requests::{every_status, hung_up_on, lasting, overtaken, under_way, unwinding};
use series::{escaped, last_place, limit, odd_methods, routes};
use std::time::Duration;

/// For what scrapes hundreds of series, or waits once for what a right answer may hold back.
const LONG: Duration = Duration::from_secs(20);
const PAGE: &str = "docs/lessons/metrics.md";

grading::checks! { S: Metrics; read(PAGE);
    on_the_bound: "what takes exactly as long as a bound says belongs to that bucket",
    cumulative: "each bucket counts all that is at most its bound, and the sum is in seconds",
    every_status: "every request is counted once, under the status that it was answered with",
    under_way: "as many are active as are under way",
    lasting: "a request lasts from its first poll to the end of its work, and no longer",
    overtaken: "two requests that end at once are both counted"
        .limit(LONG),
    hung_up_on: "who hangs up is counted as that, and is not active any more",
    unwinding: "a panic is counted as an error, and leaves nobody active",
    routes: "a thousand customers are one route, and a thousand strangers another"
        .limit(LONG),
    odd_methods: "a method that nobody knows adds no series",
    limit: "the number of series is bounded, and what has no place is counted together"
        .limit(LONG),
    last_place: "who come at once for the last series do not both get it"
        .limit(LONG),
    escaped: "whatever stands in a label is read as it was",
    exemplars: "a bucket's exemplar names a request that really took that long",
    latest: "an exemplar is of its own series, and stays until the next one",
    odd_ids: "whatever stands in an id is read as it was",
    at_the_end: "an exemplar names whose work it was at the end, whatever that was",
    well_formed: "every family has its type, its unit, its own name and its own labels",
    at_zero: "what has just started shows a pool that nobody has used",
    scraped_twice: "who scrapes changes nothing",
    apart: "each instance counts its own",
    scraped_meanwhile: "a scrape between two steps of an observation fits together"
        .limit(LONG),
    places: "a pool has as many places as it was opened with",
    unpolled: "what nobody has polled neither waits nor has a place",
    waits: "who has a place and who waits for one is told apart",
    gives_up: "who gives up waits no longer, and takes no place along",
    handed_over: "a place that was given to who is gone is free",
    restarted: "a restart is no fall, and no leap either",
    rates_added: "the rate of several instances is the sum of their rates",
    quantile_of_all: "a quantile of all instances lies in the bucket of the true one",
    edges: "within a bucket a quantile lies where Prometheus puts it",
}
