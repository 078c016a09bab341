//! Which request it is, and whose.

use super::mostly::Detail;
use super::orders::{Plain, finish_with_upsert, insert, run, stores};
use sagas::idempotency_keys::{Answer, Error, Keys, Options, Request, Scope, Work};
use std::sync::LazyLock;
use std::time::SystemTime;

/// Everything is a POST here, so path and body say all. Then somebody adds a DELETE. Rejected by
/// `other_request`.
pub(super) struct IgnoresTheMethod;

impl Detail for IgnoresTheMethod {
    fn fingerprint(request: &Request<'_>) -> Vec<u8> {
        Request { method: "", ..*request }.fingerprint()
    }
}

/// Keys are UUIDs, and some clients write them in capitals: so they are made small. Those of other
/// clients are in base 64, where `a` and `A` are two letters. Rejected by `two_keys`.
pub(super) struct AnyCase;

impl Detail for AnyCase {
    fn key(request: &Request<'_>) -> String {
        request.key.trim().to_lowercase()
    }
}

/// A key has 36 letters, and a column has room for 64. What is longer is cut off, as some databases
/// do by themselves. Rejected by `two_keys`.
pub(super) struct CutsLongKeys;

impl Detail for CutsLongKeys {
    fn key(request: &Request<'_>) -> String {
        request.key.chars().take(64).collect()
    }
}

/// Caller and key, one after the other, are the key for the provider. Rejected by `passed_on`.
pub(super) struct GluedForOthers;

impl Detail for GluedForOthers {
    fn for_others(request: &Request<'_>) -> String {
        format!("{}:{}", request.caller, request.key)
    }
}

/// A hash with a salt, so that nobody can guess the keys of others. The salt is drawn as the process
/// starts, and the next attempt comes to another one. Rejected by `passed_on`.
pub(super) struct SaltOfTheProcess;

static SALT: LazyLock<String> =
    LazyLock::new(|| format!("{}-{:?}", std::process::id(), SystemTime::now()));

impl Detail for SaltOfTheProcess {
    fn for_others(request: &Request<'_>) -> String {
        format!("{}-{:02x?}", *SALT, request.name())
    }
}

/// PUT and DELETE are idempotent by their definition, so only a POST needs its key. But what is done
/// here is a charge at each. Rejected by `any_shape`.
pub(super) struct PostsOnly(Plain);

/// Looks for the key with the fingerprint, as both have to match, and finds out by its INSERT that
/// the key is another request's: when the work was done. It is undone, but for what it did elsewhere.
/// Rejected by `other_request`.
pub(super) struct LooksForBoth(Plain);

stores! {
    PostsOnly() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            if request.method == "POST" {
                return self.0.rightly(request, work).await;
            }
            let answer = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                finish_with_upsert(transaction, request, self.0.keep(), work).await
            };
            self.0.in_time(answer).await
        }
    }

    LooksForBoth() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let looked = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                let other = "SELECT 1 FROM idempotency_keys WHERE caller = $1 AND key = $2
                    AND fingerprint <> $3 AND expires_at > now()";
                let other = transaction.prepare_cached(other).await?;
                let fingerprint = request.fingerprint();
                let values = (&request.caller, &request.key, &fingerprint);
                if transaction.query_opt(&other, &[values.0, values.1, values.2]).await?.is_none() {
                    return Ok(Some(work));
                }
                run(&transaction, request, work).await?;
                match insert(&transaction, request, self.0.keep()).await? {
                    true => Ok(None),
                    false => Err(Error::OtherRequest),
                }
            };
            match self.0.in_time(looked).await? {
                Some(work) => self.0.rightly(request, work).await,
                None => Err(Error::OtherRequest),
            }
        }
    }
}
