//! What the shop's services say to each other. A service knows this crate and no other service.
//!
//! - [`money`], [`id`], [`quantity`], [`text`], [`page`]: the words, each checked where it is made,
//!   so that what has the type needs no second look.
//! - [`catalog`], [`users`], [`carts`], [`orders`], [`inventory`], [`payments`],
//!   [`notifications`]: what each service answers, and a client that asks it.
//! - [`event`]: what has happened, as it travels over the bus.
//! - [`problem`]: the one shape of every refusal, RFC 9457.
//! - [`peer`]: how a service is called, under all the clients.

pub mod carts;
pub mod catalog;
pub mod event;
pub mod id;
pub mod inventory;
pub mod money;
pub mod notifications;
pub mod orders;
pub mod page;
pub mod payments;
pub mod peer;
pub mod problem;
pub mod quantity;
pub mod text;
pub mod users;

pub use money::Money;
pub use peer::{Peer, Peers};
pub use problem::{Kind, Problem};
pub use quantity::Quantity;
