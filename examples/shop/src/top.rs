//! What a shop does at the moment, by what its services have counted: no collector is needed, and
//! nothing is stored.
//!
//! Counters only grow. So `/metrics` of each service is read twice, and what lies between the two is
//! the rate, the errors and the durations of that time. Gauges are as they were at the second look.
//!
//! - `scrape`: asking everybody.
//! - `growth`: what one service counted between two scrapes.
//! - `red`: what its customers felt: rate, errors, durations; and which routes were slow.
//! - `full`: how full everything is: breakers, bulkheads, queues, pools.
//! - `figures`: all of it, as `--json` shows it.
//! - `table`: the same, for people.

mod figures;
mod full;
mod growth;
mod red;
mod scrape;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use figures::Figures;
pub(crate) use scrape::{Scrape, Watched};
pub(crate) use table::print;
