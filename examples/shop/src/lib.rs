//! The shop: eight services that share no database and no code but their contracts, in one
//! program.
//!
//! - [`place`]: where the data lie: embedded, or in servers.
//! - [`whole`]: all services in this process, each on its own port. What `shop up` runs, and what
//!   comparisons and tests start.
//! - [`part`]: one service in this process: `shop run`.
//! - [`goods`]: what there is to sell.
//! - [`journeys`]: what customers do: `shop load`.
//! - [`books`]: whether it all adds up.
//! - [`command`]: all of this as a command.
//! - [`compare`]: the same work with a pattern and without.

pub mod apart;
pub mod books;
pub mod command;
pub mod compare;
pub mod goods;
pub mod journeys;
mod meters;
pub mod part;
pub mod place;
mod top;
pub mod traces;
pub mod whole;
