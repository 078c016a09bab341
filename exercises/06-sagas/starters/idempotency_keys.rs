//! 06.6 · Idempotency keys
//!
//! Build what stands between a client that tries again and a card that must be charged once. Each
//! request comes with a caller and a key. `work` does what is asked for, in a transaction that you
//! give it, and answers.
//!
//! 1. The first request under a key does its work. Every later one gets the same answer, to the byte,
//!    and has no effect; also when it comes while the first is under way.
//! 2. Whoever dies, is dropped or loses a reply: there is one effect or none, and who tries again
//!    brings it to one. A process that hangs keeps the key no longer than a timeout.
//! 3. Another request under the same key is refused. Another caller's key is another key.
//! 4. Work that fails, panics, or answers "not now" is undone, and its key is free at once.
//! 5. After `options.keep` a key is new. `sweep` deletes such keys, a few at a time.
//! 6. Who waits for a key has no connection in its hand.
//!
//! The contract with all its details is the trait `Keys`: sandbox/06-sagas/src/idempotency_keys.rs.
//! The table is there: caller, key, fingerprint, status, headers, body, expires_at. Of a request,
//! `request.fingerprint()` tells it from others, and `request.name()` is caller and key in 32 bytes.
//! `response.is_final()` says whether an answer is to be kept.
//!
//! A connection is `self.pool.get().await?`, and `connection.transaction().await?` begins. Dropped,
//! a transaction is rolled back. Put a `tokio::time::timeout` around it; when that strikes, take the
//! connection out of the pool (`deadpool_postgres::Object::take`), or the next one waits for it.
//!
//! A first step: begin, do the work, commit, and never mind the key. Then run the checks and read the
//! first timeline.

use deadpool_postgres::Pool;
use sagas::idempotency_keys::{Answer, Error, Keys, Options, Request, Scope, Work, pool};

/// Your store.
#[allow(dead_code)] // until once and sweep use it
pub struct MyKeys {
    pool: Pool,
    options: Options,
}

impl Keys for MyKeys {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Ok(MyKeys { pool: pool(url, options.timeout, options.connections)?, options })
    }

    async fn once<W>(&self, _request: &Request<'_>, _work: W) -> Result<Answer, Error>
    where
        W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
    {
        todo!("the answer of an earlier time, or do the work and keep its answer")
    }

    async fn sweep(&self, _at_most: u32) -> Result<u64, Error> {
        todo!("forget up to at_most keys that have expired")
    }
}
