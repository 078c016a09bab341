//! Leases from whichever implementation the shop was opened with: the reference of lesson 02.2,
//! or a learner's own.
//!
//! The contract [`Lease`] names its held lease by an associated type, so that no user of it pays
//! for a box. A service that is to be opened with one or the other at run time does pay: one
//! allocation an acquire, beside a round trip.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locks::lease::{Error, Held, Lease, Options};
use redis::RedisError;

/// Opens leases on the Redis at a URL: `Leases::open::<RedisLease>`.
pub type OpenLeases = fn(&str, Options) -> Result<Leases, RedisError>;

/// Leases of some implementation. Clones are the same ones.
#[derive(Clone)]
pub struct Leases(Arc<dyn Implementation>);

/// A lease that is held. Dropped, it is given back in the background.
pub struct HeldLease(Box<dyn HeldImplementation>);

impl Leases {
    /// Leases of the implementation `L`.
    ///
    /// # Errors
    /// As [`Lease::open`].
    pub fn open<L: Lease>(url: &str, options: Options) -> Result<Leases, RedisError> {
        Ok(Leases(Arc::new(L::open(url, options)?)))
    }

    /// As [`Lease::acquire`].
    ///
    /// # Errors
    /// As [`Lease::acquire`].
    pub async fn acquire(&self, name: &str, patience: Duration) -> Result<HeldLease, Error> {
        self.0.acquire(name, patience).await.map(HeldLease)
    }
}

impl HeldLease {
    /// As [`Held::token`].
    pub fn token(&self) -> u64 {
        self.0.token()
    }

    /// As [`Held::release`].
    ///
    /// # Errors
    /// As [`Held::release`].
    pub async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leases")
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// [`Lease`] without its associated type.
trait Implementation: Send + Sync {
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        patience: Duration,
    ) -> Boxed<'a, Box<dyn HeldImplementation>>;
}

/// [`Held`], for any implementation.
trait HeldImplementation: Send + Sync {
    fn token(&self) -> u64;
    fn release(self: Box<Self>) -> Boxed<'static, ()>;
}

impl<L: Lease> Implementation for L {
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        patience: Duration,
    ) -> Boxed<'a, Box<dyn HeldImplementation>> {
        Box::pin(async move {
            let held = Lease::acquire(self, name, patience).await?;
            Ok(Box::new(held) as Box<dyn HeldImplementation>)
        })
    }
}

impl<H: Held> HeldImplementation for H {
    fn token(&self) -> u64 {
        Held::token(self)
    }

    fn release(self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(Held::release(*self))
    }
}
