//! GCRA in memory, for one process: a compare-and-swap on one number.
//!
//! No round trip, and no sharing: four gateways with one [`Local`] each allow four times the
//! quota. It is for what one process may do, and before [`Gcra`](super::Gcra) as a coarse sieve.

use crate::limiter::{Decision, GivenClock, Quota};
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

/// One limit for the whole process, such as on calls to somebody else's API.
#[derive(Debug)]
pub struct Single {
    quota: Quota,
    clock: Ticks,
    tat: Tat,
}

impl Single {
    /// A limit with its whole burst. The first in a process measures how fast the processor's
    /// counter runs, for up to a fifth of a second.
    pub fn new(quota: Quota) -> Single {
        Single { quota, clock: Ticks::since_now(), tat: Tat::default() }
    }

    /// Whether `cost` units may be spent now, and spends them if so; as
    /// [`Limiter::decide`](crate::limiter::Limiter::decide), at once.
    #[inline]
    pub fn decide(&self, cost: u32) -> Decision {
        self.tat.decide(self.quota, cost, self.clock.micros())
    }
}

/// One limit for each key.
///
/// **Memory.** A key whose TAT is past is as good as one never seen, so it is forgotten: who brings
/// a new key now and then sweeps out the old ones, so that there are never more than about twice
/// as many as had anything to remember. Of a key only a hash is kept, 16 bytes with its TAT,
/// however long it is. There is a hard limit besides, `most_keys`: new keys that find no place share
/// one quota (in each of the shards) until there is one. So a flood of forged addresses can make
/// newcomers wait, and can neither fill the memory nor give anybody a burst twice.
///
/// **Hashes.** They have 64 bits and are salted at random, so nobody can choose two keys that meet.
/// By chance, two among a million keys do once in 37 million processes, and then share a quota.
#[derive(Debug)]
pub struct Local {
    quota: Quota,
    clock: Ticks,
    hashes: RandomState,
    shards: Box<[RwLock<Shard>]>,
    most_keys_each: usize,
}

/// Writers, who bring new keys, lock out readers of one shard only.
const SHARDS: usize = 64;
/// So few keys of a shard are not worth a sweep.
const FEW: usize = 32;
/// A shard that is full of keys that have something to remember is not swept more often than this.
const PAUSE_MICROS: u64 = 10_000;

impl Local {
    /// A limit for each of up to `most_keys` keys at a time, rounded up to a multiple of 64. The
    /// first in a process measures its counter, as [`Single::new`] does.
    pub fn new(quota: Quota, most_keys: usize) -> Local {
        Local::by(Ticks::since_now(), quota, most_keys)
    }

    /// The same by a clock that is set by hand. It may go backwards, down to the last time that
    /// keys were forgotten: before that it stands.
    pub fn with_clock(quota: Quota, most_keys: usize, clock: GivenClock) -> Local {
        Local::by(Ticks::Given(clock), quota, most_keys)
    }

    fn by(clock: Ticks, quota: Quota, most_keys: usize) -> Local {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        let most_keys_each = most_keys.div_ceil(SHARDS);
        Local { quota, clock, hashes: RandomState::new(), shards, most_keys_each }
    }

    /// Whether `key` may spend `cost` units now, and spends them if so; as
    /// [`Limiter::decide`](crate::limiter::Limiter::decide), at once.
    #[inline]
    pub fn decide(&self, key: &str, cost: u32) -> Decision {
        let hash = self.hashes.hash_one(key);
        // The map takes the lowest and the highest bits, so the shard is chosen by others.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(tat) = shard.tats.get(&hash) {
                return tat.decide(self.quota, cost, shard.time(&self.clock));
            }
        }
        self.decide_on_new(shard, hash, cost)
    }

    #[cold]
    fn decide_on_new(&self, shard: &RwLock<Shard>, hash: u64, cost: u32) -> Decision {
        if cost == 0 || cost > self.quota.burst() {
            // Only a look, which leaves nothing behind.
            return Tat::default().decide(self.quota, cost, self.clock.micros());
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let now = shard.time(&self.clock);
        let pause = self.quota.window_micros().max(PAUSE_MICROS);
        shard.place(hash, now, self.most_keys_each, pause).decide(self.quota, cost, now)
    }

    /// How many keys are kept at the moment.
    pub fn keys(&self) -> usize {
        let keys =
            |shard: &RwLock<Shard>| shard.read().unwrap_or_else(PoisonError::into_inner).tats.len();
        self.shards.iter().map(keys).sum()
    }
}

#[derive(Debug)]
struct Shard {
    tats: HashMap<u64, Tat, BuildHasherDefault<Hashed>>,
    /// What keys share that found no place.
    crowd: Tat,
    /// New keys until the next sweep.
    until_sweep: usize,
    /// When was swept last.
    swept: u64,
}

impl Default for Shard {
    fn default() -> Shard {
        Shard { tats: HashMap::default(), crowd: Tat::default(), until_sweep: FEW, swept: 0 }
    }
}

impl Shard {
    /// The time. Never before the last sweep: what was past then and is forgotten must not lie in
    /// the future for a caller whose clock is behind.
    #[inline]
    fn time(&self, clock: &Ticks) -> u64 {
        clock.micros().max(self.swept)
    }

    /// Where a new key is kept.
    fn place(&mut self, hash: u64, now: u64, most: usize, pause: u64) -> &Tat {
        // Another caller may have brought the same key meanwhile.
        if !self.tats.contains_key(&hash) {
            let full = self.tats.len() >= most;
            if self.until_sweep == 0 || (full && now >= self.swept.saturating_add(pause)) {
                self.sweep(now);
            }
            if self.tats.len() >= most {
                return &self.crowd;
            }
            self.until_sweep = self.until_sweep.saturating_sub(1);
        }
        self.tats.entry(hash).or_default()
    }

    /// Forgets what is past. After as many new keys as it leaves comes the next, so that each new
    /// key pays for looking at about two.
    fn sweep(&mut self, now: u64) {
        self.tats.retain(|_, tat| tat.is_after(now));
        let left = self.tats.len().max(FEW);
        self.tats.shrink_to(2 * left);
        self.until_sweep = left;
        self.swept = now;
    }
}

// ANCHOR: cas
/// The theoretical arrival time of one key, in microseconds of its clock.
#[derive(Debug, Default)]
struct Tat(AtomicU64);

impl Tat {
    #[inline]
    fn decide(&self, quota: Quota, cost: u32, now: u64) -> Decision {
        let window = quota.window_micros();
        let price = quota.price(cost);
        // Relaxed: the number is all that there is, nothing else is published by it.
        let mut tat = self.0.load(Ordering::Relaxed);
        loop {
            let ahead = tat.saturating_sub(now);
            let spent = match price {
                Some(0) => return decision(quota, cost, true, ahead),
                Some(price) if ahead + price <= window => ahead + price,
                _ => return decision(quota, cost, false, ahead),
            };
            let moved = now + spent;
            // Another thread may have spent in between; then all of it is considered again.
            match self.0.compare_exchange_weak(tat, moved, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return decision(quota, cost, true, spent),
                Err(by_another) => tat = by_another,
            }
        }
    }

    fn is_after(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) > now
    }
}
// ANCHOR_END: cas

#[inline]
fn decision(quota: Quota, cost: u32, allowed: bool, ahead: u64) -> Decision {
    let level = quota.window_micros().saturating_sub(ahead);
    Decision::in_state(quota, cost, allowed, level, ahead)
}

/// A process's own time, in microseconds.
#[derive(Debug)]
enum Ticks {
    /// Since a count of the processor's own counter, which costs a third of asking the kernel; with
    /// `std::time::Instant` half of a decision would be looking at the clock.
    Since(quanta::Clock, u64),
    Given(GivenClock),
}

impl Ticks {
    fn since_now() -> Ticks {
        let clock = quanta::Clock::new();
        let began = clock.raw();
        Ticks::Since(clock, began)
    }

    #[inline]
    fn micros(&self) -> u64 {
        match self {
            Ticks::Since(clock, began) => clock.delta_as_nanos(*began, clock.raw()) / 1_000,
            Ticks::Given(clock) => clock.micros(),
        }
    }
}

/// For keys that are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
