//! The monolith, over a real socket, on each of the databases that it may have.
//!
//! - [`accounts`], [`shelves`], [`carts`]: every route and every refusal but the checkout's.
//! - [`checkout`]: what it does, and what it refuses.
//! - [`waiting`]: who waits for whom while it is under way.
//! - [`flaws`]: what its one transaction cannot take back.

mod accounts;
mod carts;
mod checkout;
mod flaws;
mod place;
mod shelves;
mod shop;
mod waiting;
