//! Mistakes in holding a lease, on leases that are acquired as they should be.

use super::plain::{Plain, PlainHeld, owner};
use locks::lease::{Error, Held, Lease, Options};
use redis::{AsyncCommands, RedisError};
use std::time::{Duration, Instant};

/// What these decoys have in common: a good acquire, and a wrapper around what is held.
macro_rules! leases {
    ($($lease:ident holds $held:ident),+ $(,)?) => {$(
        impl Lease for $lease {
            type Held = $held;

            fn open(url: &str, options: Options) -> Result<Self, RedisError> {
                Plain::open(url, options).map($lease)
            }

            async fn acquire(&self, name: &str, patience: Duration) -> Result<$held, Error> {
                Ok($held(self.0.ask_on(name, &owner(), patience).await?))
            }
        }
    )+};
}

leases! {
    DelWithoutToken holds DelHeld,
    GetCompareDel holds GetCompareDelHeld,
    ReleaseSaysOk holds ReleaseSaysOkHeld,
    ExtendWithoutCompare holds PexpireHeld,
    LostOnlyAtExtend holds LostAtExtendHeld,
    LostForGood holds LostForGoodHeld,
    NothingOnDrop holds NothingOnDropHeld,
    DropBlocks holds DropBlocksHeld,
    DropWithoutToken holds DropWithoutTokenHeld,
    AlarmWhenCalled holds AlarmWhenCalledHeld,
    LostByTheClockAlone holds ByTheClockHeld,
    ExtendsOnTrust holds ExtendsOnTrustHeld,
    ExtendRevives holds ExtendRevivesHeld,
    LostAtHalf holds LostAtHalfHeld,
}

/// DEL. Who is late deletes what is another's by now, and the third one comes in. Rejected by
/// `late_release`.
pub(super) struct DelWithoutToken(Plain);
pub(super) struct DelHeld(PlainHeld);

impl Held for DelHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        self.0.extend().await
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(mut self) -> Result<(), Error> {
        let deleted: bool = self.0.plain.redis.del(&self.0.name).await?;
        self.0.given_back = true;
        deleted.then_some(()).ok_or(Error::Lost)
    }
}

/// GET, compare, DEL. Between the comparison and the DEL the TTL may end and another come.
/// Rejected by `late_release`.
pub(super) struct GetCompareDel(Plain);
pub(super) struct GetCompareDelHeld(PlainHeld);

impl Held for GetCompareDelHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        self.0.extend().await
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(mut self) -> Result<(), Error> {
        let holder: Option<String> = self.0.plain.redis.get(&self.0.name).await?;
        if holder.as_ref() != Some(&self.0.owner) {
            return Err(Error::Lost);
        }
        self.0.given_back = true;
        Ok(self.0.plain.redis.del(&self.0.name).await?)
    }
}

/// Does not look at what the script answers. Its caller believes that all the while nobody else was
/// at work. Rejected by `late_release`.
pub(super) struct ReleaseSaysOk(Plain);
pub(super) struct ReleaseSaysOkHeld(PlainHeld);

impl Held for ReleaseSaysOkHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        self.0.extend().await
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(self) -> Result<(), Error> {
        match self.0.release().await {
            Err(Error::Lost) => Ok(()),
            answer => answer,
        }
    }
}

/// PEXPIRE, without asking whose lease it is. A late owner sets the end of its successor's, and
/// believes that it is its own. Rejected by `extend_only_mine`.
pub(super) struct ExtendWithoutCompare(Plain);
pub(super) struct PexpireHeld(PlainHeld);

impl Held for PexpireHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        let (asked, ttl) = (Instant::now(), self.0.plain.options.ttl);
        let mut redis = self.0.plain.redis.clone();
        let is_there: bool = redis.pexpire(&self.0.name, ttl.as_millis() as i64).await?;
        self.0.end.send_replace(asked + ttl);
        is_there.then_some(()).ok_or(Error::Lost)
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}

/// Learns of the loss from Redis, when it asks the next time. While Redis cannot be reached it
/// learns nothing, and holds on. Rejected by `lost_before_ttl`.
pub(super) struct LostOnlyAtExtend(Plain);
pub(super) struct LostAtExtendHeld(PlainHeld);

impl Held for LostAtExtendHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        self.0.extend().await
    }

    async fn lost(&self) {
        let (name, owner) = (&self.0.name, &self.0.owner);
        loop {
            let holder: Result<Option<String>, _> = self.0.plain.redis.clone().get(name).await;
            if holder.is_ok_and(|holder| holder.as_ref() != Some(owner)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}

/// Counts the TTL from the reply. Redis has counted since it wrote it, and the reply was on its way
/// for half a second. Rejected by `lost_before_ttl`.
pub(super) struct CountsFromTheReply(Plain);

impl Lease for CountsFromTheReply {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(CountsFromTheReply)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let held = self.0.ask_on(name, &owner(), patience).await?;
        held.end.send_replace(Instant::now() + self.0.options.ttl);
        Ok(held)
    }
}

/// Sets its alarm once, for the end of the first TTL, and forgets to put it off. Rejected by
/// `extend_moves_the_end`.
pub(super) struct LostForGood(Plain);
pub(super) struct LostForGoodHeld(PlainHeld);

impl Held for LostForGoodHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        let end = *self.0.end.borrow();
        let answer = self.0.extend().await;
        self.0.end.send_replace(end);
        answer
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}

/// There is a TTL for those who forget to release. Each task that is cancelled or returns early
/// costs everybody a TTL. Rejected by `drop_gives_back`.
pub(super) struct NothingOnDrop(Plain);
pub(super) struct NothingOnDropHeld(PlainHeld);

impl Held for NothingOnDropHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        self.0.extend().await
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(self) -> Result<(), Error> {
        let released = self.0.plain.free(&self.0.name, &self.0.owner).await?;
        released.then_some(()).ok_or(Error::Lost)
    }
}

impl Drop for NothingOnDropHeld {
    fn drop(&mut self) {
        self.0.given_back = true;
    }
}

/// Gives back in drop, and waits until Redis has said that it is done. Async code drops things on
/// threads that others need, and Redis hangs. Rejected by `drop_does_not_block`.
pub(super) struct DropBlocks(Plain);
pub(super) struct DropBlocksHeld(PlainHeld);

impl Held for DropBlocksHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        self.0.extend().await
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(mut self) -> Result<(), Error> {
        let released = self.0.plain.free(&self.0.name, &self.0.owner).await?;
        self.0.given_back = true;
        released.then_some(()).ok_or(Error::Lost)
    }
}

impl Drop for DropBlocksHeld {
    fn drop(&mut self) {
        if !std::mem::replace(&mut self.0.given_back, true) {
            let free = self.0.plain.free(&self.0.name, &self.0.owner);
            let _ = tokio::runtime::Handle::current().block_on(free);
        }
    }
}

/// Compares in release, and not in drop: that is only for emergencies. But who is late is as a rule
/// who is dropped. Rejected by `late_release`.
pub(super) struct DropWithoutToken(Plain);
pub(super) struct DropWithoutTokenHeld(PlainHeld);

impl Held for DropWithoutTokenHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        self.0.extend().await
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(mut self) -> Result<(), Error> {
        let released = self.0.plain.free(&self.0.name, &self.0.owner).await?;
        self.0.given_back = true;
        released.then_some(()).ok_or(Error::Lost)
    }
}

impl Drop for DropWithoutTokenHeld {
    fn drop(&mut self) {
        if !std::mem::replace(&mut self.0.given_back, true) {
            let (mut redis, name) = (self.0.plain.redis.clone(), self.0.name.clone());
            tokio::spawn(async move {
                let _: Result<(), RedisError> = redis.del(name).await;
            });
        }
    }
}

/// Looks when the lease ends and sleeps until then. Who waits for the loss beside its work, in one
/// `select!`, has asked before it extends, and hears of a loss that is none. Rejected by
/// `extend_moves_the_end`.
pub(super) struct AlarmWhenCalled(Plain);
pub(super) struct AlarmWhenCalledHeld(PlainHeld);

impl Held for AlarmWhenCalledHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        self.0.extend().await
    }

    async fn lost(&self) {
        let end = *self.0.end.borrow();
        tokio::time::sleep_until(end.into()).await;
    }

    async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}

/// The alarm is the clock's. That Redis has said "not yours any more", to `extend`, nobody tells
/// it: who waits for the loss works on for up to a TTL. Rejected by `extend_only_mine`.
pub(super) struct LostByTheClockAlone(Plain);
pub(super) struct ByTheClockHeld(PlainHeld);

impl Held for ByTheClockHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        let end = *self.0.end.borrow();
        let answer = self.0.extend().await;
        if matches!(answer, Err(Error::Lost)) {
            self.0.end.send_replace(end);
        }
        answer
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}

/// Puts off the alarm, and then asks. Redis cannot be reached, and the holder holds on. Rejected by
/// `extend_moves_the_end`.
pub(super) struct ExtendsOnTrust(Plain);
pub(super) struct ExtendsOnTrustHeld(PlainHeld);

impl Held for ExtendsOnTrustHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        let end = Instant::now() + self.0.plain.options.ttl.mul_f64(0.98);
        self.0.end.send_replace(end);
        self.0.extend().await
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}

/// Takes the name again if nobody has it by now. Others may have had it in between, with higher
/// tokens, and the resource refuses this one from now on. Rejected by `extend_only_mine`.
pub(super) struct ExtendRevives(Plain);
pub(super) struct ExtendRevivesHeld(PlainHeld);

impl Held for ExtendRevivesHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        let (asked, plain) = (Instant::now(), &self.0.plain);
        let script = redis::Script::new(
            "local owner = redis.call('GET', KEYS[1])
             if owner and owner ~= ARGV[1] then return 0 end
             redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
             return 1",
        );
        let mut extend = script.key(&self.0.name);
        extend.arg(&self.0.owner).arg(plain.ttl());
        if extend.invoke_async(&mut plain.redis.clone()).await? {
            self.0.end.send_replace(asked + plain.options.ttl.mul_f64(0.98));
            return Ok(());
        }
        self.0.end.send_replace(asked);
        Err(Error::Lost)
    }

    async fn lost(&self) {
        self.0.lost().await;
    }

    async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}

/// To be safe, calls the lease lost when half of it is over. The work is broken off that could have
/// been finished. Rejected by `extend_moves_the_end`.
pub(super) struct LostAtHalf(Plain);
pub(super) struct LostAtHalfHeld(PlainHeld);

impl Held for LostAtHalfHeld {
    fn token(&self) -> u64 {
        self.0.token()
    }

    async fn extend(&self) -> Result<(), Error> {
        self.0.extend().await
    }

    async fn lost(&self) {
        let half = self.0.plain.options.ttl / 2;
        let mut end = self.0.end.subscribe();
        loop {
            let at = *end.borrow_and_update() - half;
            if tokio::time::timeout_at(at.into(), end.changed()).await.is_err() {
                return;
            }
        }
    }

    async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}
