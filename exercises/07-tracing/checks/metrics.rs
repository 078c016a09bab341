//! What the metrics of a service must withstand.

mod buckets;
mod exemplars;
mod form;
mod pool;
mod reading;
mod requests;
mod scene;
mod scrape;
mod series;

use buckets::{cumulative, on_the_bound};
use exemplars::exemplars;
use form::{apart, scraped_meanwhile, scraped_twice, well_formed};
use observability::metrics::Metrics;
use pool::{gives_up, waits};
use reading::{edges, quantile_of_all, rates_added, restarted};
use requests::{every_status, hung_up_on, under_way, unwinding};
use series::{escaped, limit, odd_methods, routes};

const PAGE: &str = "docs/lessons/metrics.md";

grading::checks! { S: Metrics; read(PAGE);
    on_the_bound: "what takes exactly as long as a bound says belongs to that bucket",
    cumulative: "each bucket counts all that is at most its bound, and the sum is in seconds",
    every_status: "every request is counted once, under the status that it was answered with",
    under_way: "as many are active as are under way",
    hung_up_on: "who hangs up is counted as that, and is not active any more",
    unwinding: "a panic is counted as an error, and leaves nobody active",
    routes: "a thousand customers are one route, and a thousand strangers another",
    odd_methods: "a method that nobody knows adds no series",
    limit: "the number of series is bounded, and what has no place is counted together",
    escaped: "whatever stands in a label is read as it was",
    exemplars: "a bucket's exemplar names a request that really took that long",
    well_formed: "every family has its type, its unit and its own name",
    scraped_twice: "who scrapes changes nothing",
    apart: "each instance counts its own",
    scraped_meanwhile: "a scrape between two steps of an observation fits together",
    waits: "who has a place and who waits for one is told apart",
    gives_up: "who gives up waits no longer, and takes no place along",
    restarted: "a restart is no fall, and no leap either",
    rates_added: "the rate of several instances is the sum of their rates",
    quantile_of_all: "a quantile of two instances lies in the bucket of the true one",
    edges: "within a bucket a quantile lies where Prometheus puts it",
}
