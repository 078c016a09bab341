//! Wrong answers to GCRA, as people write them in good faith. The head of each says what is wrong
//! and which check finds out.

mod elsewhere;

use super::plain::{Plain, RIGHT};
use grading::Decoy;
use rate_limiting::limiter::{Decision, Limiter, Options, Quota};
use rate_limiting_exercises::gcra::check;
use redis::RedisResult;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check;
        FourteenDigits: exact,
        WholeSeconds: exact,
        CostIsOne: exact,
        CostAfterwards: exact,
        OneAboveBurst: exact,
        CountsFrom2020: far_times,
        SavesUp: nothing_saved_up,
        RefusalMovesTat: refusal_spends_nothing,
        WaitsForTheImpossible: odd_costs,
        LooksLeaveKeys: odd_costs,
        ForgetsBehindClock: clock_goes_back,
        NoTtl: keys_expire,
        TtlKept: nothing_comes_early,
        TtlOfCost: nothing_comes_early,
    ];
    all.extend(elsewhere::all());
    all
}

/// The TAT is joined to a string, which Lua does with 14 digits. Microseconds since 1970 have 16, so
/// each spending is rounded by up to 50 µs, up or down. Rejected by `exact`.
struct FourteenDigits(Plain);

impl Limiter for FourteenDigits {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(FourteenDigits)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.by(&RIGHT.replace("exact(now + ahead)", "'' .. (now + ahead)"), key, cost).await
    }
}

/// The first number of `TIME`, which is seconds. The other one was overlooked; all who come within a
/// second come at the same time. Rejected by `exact`.
struct WholeSeconds(Plain);

impl Limiter for WholeSeconds {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(WholeSeconds)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.by(&format!("now = now - now % 1000000 {RIGHT}"), key, cost).await
    }
}

/// Moves the TAT by one unit's time, whatever the request costs: that is how the articles have it,
/// in which nothing costs more than one. Rejected by `exact`.
struct CostIsOne(Plain);

impl Limiter for CostIsOne {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(CostIsOne)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.by(&format!("cost = math.min(cost, every) {RIGHT}"), key, cost).await
    }
}

/// Asks whether one unit is there, and then takes all that it costs: a debt. The next ones wait for
/// it. Rejected by `exact`.
struct CostAfterwards(Plain);

impl Limiter for CostAfterwards {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(CostAfterwards)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = RIGHT
            .replace("ahead + cost > window", "ahead + every > window")
            .replace("{1, window - ahead, ahead}", "{1, math.max(window - ahead, 0), ahead}");
        self.0.by(&script, key, cost).await
    }
}

/// Compares the TAT before the spending with the window, where it should be the TAT after it: one
/// more than the burst passes. Rejected by `exact`.
struct OneAboveBurst(Plain);

impl Limiter for OneAboveBurst {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(OneAboveBurst)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = RIGHT
            .replace("ahead + cost > window", "ahead + cost > window + every")
            .replace("{1, window - ahead, ahead}", "{1, math.max(window - ahead, 0), ahead}");
        self.0.by(&script, key, cost).await
    }
}

/// Times since 2020, so that Lua's fourteen digits are enough. They are, for three years; and before
/// 2020 there is no time at all. Rejected by `far_times`.
struct CountsFrom2020(Plain);

impl Limiter for CountsFrom2020 {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(CountsFrom2020)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let short = RIGHT.replace("exact(now + ahead)", "tostring(now + ahead)");
        self.0.by(&format!("now = math.max(now - 1577836800000000, 0) {short}"), key, cost).await
    }
}

/// The TAT goes on from where it was, also where that is long past. A key that rests for a year has
/// a year's units, at once. Rejected by `nothing_saved_up`.
struct SavesUp(Plain);

impl Limiter for SavesUp {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(SavesUp)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local ahead = (tonumber(redis.call('GET', KEYS[1])) or now) - now
            if cost == 0 or ahead + cost > window then
              return {cost == 0 and 1 or 0, math.max(window - ahead, 0), math.max(ahead, 0)}
            end
            ahead = ahead + cost
            local ttl = math.ceil(math.max(ahead, window) / 1000) + 1 + spare
            redis.call('SET', KEYS[1], exact(now + ahead), 'PX', ttl)
            return {1, window - ahead, math.max(ahead, 0)}";
        self.0.by(script, key, cost).await
    }
}

/// Writes the new TAT before it is compared. Who is refused and asks again is further from being
/// allowed each time: a retry loop shuts itself out for ever. Rejected by `refusal_spends_nothing`.
struct RefusalMovesTat(Plain);

impl Limiter for RefusalMovesTat {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(RefusalMovesTat)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local ahead = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - now, 0)
            if cost == 0 then return {1, math.max(window - ahead, 0), ahead} end
            local allowed = ahead + cost <= window
            ahead = ahead + cost
            redis.call('SET', KEYS[1], exact(now + ahead), 'PX', math.ceil(ahead / 1000) + 1 + spare)
            return {allowed and 1 or 0, math.max(window - ahead, 0), ahead}";
        self.0.by(script, key, cost).await
    }
}

/// Tells who asks for more than the burst how long to wait, as the formula gives it. He waits, asks
/// again, and is told the same. Rejected by `odd_costs`.
struct WaitsForTheImpossible(Plain);

impl Limiter for WaitsForTheImpossible {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(WaitsForTheImpossible)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let decision = self.0.by(RIGHT, key, cost).await;
        let missing = cost.saturating_sub(decision.remaining);
        let wait = std::time::Duration::from_micros(self.0.quota.every_micros()) * missing;
        Decision { retry_after: decision.retry_after.or(Some(wait)), ..decision }
    }
}

/// Writes the TAT also where nothing was spent. A page that shows everybody what is left to them
/// fills Redis with keys that say nothing. Rejected by `odd_costs`.
struct LooksLeaveKeys(Plain);

impl Limiter for LooksLeaveKeys {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(LooksLeaveKeys)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local ahead = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - now, 0)
            local allowed = cost == 0 or ahead + cost <= window
            if allowed then ahead = ahead + cost end
            redis.call('SET', KEYS[1], exact(now + ahead), 'PX', math.ceil(ahead / 1000) + 1 + spare)
            return {allowed and 1 or 0, math.max(window - ahead, 0), ahead}";
        self.0.by(script, key, cost).await
    }
}

/// A TAT further ahead than a window must be a mistake, so it is cut to the window. After the clock
/// went back by an hour, all debts are paid in a window, and then once more. Rejected by
/// `clock_goes_back`.
struct ForgetsBehindClock(Plain);

impl Limiter for ForgetsBehindClock {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(ForgetsBehindClock)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local ahead = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - now, 0)
            if ahead > window then ahead = 0 end
            if cost == 0 or ahead + cost > window then
              return {cost == 0 and 1 or 0, math.max(window - ahead, 0), ahead}
            end
            ahead = ahead + cost
            redis.call('SET', KEYS[1], exact(now + ahead), 'PX', math.ceil(ahead / 1000) + 1 + spare)
            return {1, window - ahead, ahead}";
        self.0.by(script, key, cost).await
    }
}

/// SET without a TTL. A TAT that is past says nothing, and stays. Rejected by `keys_expire`.
struct NoTtl(Plain);

impl Limiter for NoTtl {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(NoTtl)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let forever = RIGHT.replace(", 'PX', math.ceil(ahead / 1000) + 1 + spare", "");
        self.0.by(&forever, key, cost).await
    }
}

/// The first spending sets a TTL, and later ones keep it. The key goes when the first unit is back,
/// with all that was spent since. Rejected by `nothing_comes_early`.
struct TtlKept(Plain);

impl Limiter for TtlKept {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(TtlKept)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local tat = tonumber(redis.call('GET', KEYS[1]))
            local ahead = math.max((tat or 0) - now, 0)
            if cost == 0 or ahead + cost > window then
              return {cost == 0 and 1 or 0, math.max(window - ahead, 0), ahead}
            end
            ahead = ahead + cost
            if tat then
              redis.call('SET', KEYS[1], exact(now + ahead), 'KEEPTTL')
            else
              local ttl = math.ceil(every / 1000) + 1 + spare
              redis.call('SET', KEYS[1], exact(now + ahead), 'PX', ttl)
            end
            return {1, window - ahead, ahead}";
        self.0.by(script, key, cost).await
    }
}

/// The TTL is the time in which this request's cost comes back, and not all that is owed. The key
/// goes with the last small request, and with it the large one before. Rejected by
/// `nothing_comes_early`.
struct TtlOfCost(Plain);

impl Limiter for TtlOfCost {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(TtlOfCost)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let short = RIGHT.replace("math.ceil(ahead / 1000)", "math.ceil(cost / 1000)");
        self.0.by(&short, key, cost).await
    }
}
