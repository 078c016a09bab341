//! 02.2 · Lease
//!
//! Build a lock that ends by itself. Two servers of the shop may both want to count the last units
//! of a product; whoever holds the lease on it goes first, and if its process dies, the next one
//! goes on after a TTL.
//!
//! Your lease has to keep these promises, and the checks will try to break each of them:
//!
//! 1. One holder at a time, as Redis sees it, and each with a higher fencing token than the one
//!    before: also when Redis has lost its memory in between.
//! 2. Nothing lives for ever, wherever a process or a connection ends.
//! 3. A late owner cannot free or extend its successor's lease.
//! 4. A caller that goes away, or whose reply is lost, makes nobody wait for a TTL. Dropping a lease
//!    gives it back, and waits for nothing.
//! 5. The holder hears of the loss before Redis forgets the lease, by its own clock.
//! 6. Acquiring is one round trip, and so is releasing.
//!
//! The contract with all its details is the trait `Lease`: sandbox/02-locks/src/lease.rs. The
//! connection below reconnects by itself and times out: see crates/connection/src/lib.rs.
//!
//! A first step: SET with NX and PX and a random value; DEL in release; a token from INCR. Then run
//! the checks and read the first timeline.

use locks::lease::{Error, Held, Lease, Options};
use redis::RedisError;
use redis::aio::ConnectionManager;
use std::time::Duration;

/// Your leases.
#[allow(dead_code)] // until acquire uses the fields
pub struct MyLease {
    redis: ConnectionManager,
    options: Options,
}

/// A lease that is held. What must it know to be extended, released, dropped, lost?
pub struct MyHeld {}

impl Lease for MyLease {
    type Held = MyHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        let redis = connection::open(url, options.timeout)?;
        Ok(MyLease { redis, options })
    }

    async fn acquire(&self, _name: &str, _patience: Duration) -> Result<MyHeld, Error> {
        todo!("ask until it is ours, or patience is out")
    }
}

impl Held for MyHeld {
    fn token(&self) -> u64 {
        todo!("the fencing token")
    }

    async fn extend(&self) -> Result<(), Error> {
        todo!("begin the TTL anew, if it is still ours")
    }

    async fn lost(&self) {
        todo!("wait until it must be taken for lost")
    }

    async fn release(self) -> Result<(), Error> {
        todo!("give it back, if it is still ours")
    }
}
