//! Wrong answers to the token bucket, as people write them in good faith. The head of each says
//! what is wrong and which check finds out.

mod elsewhere;

use super::plain::Plain;
use grading::Decoy;
use rate_limiting::limiter::{Decision, Limiter, Options, Quota};
use rate_limiting_exercises::token_bucket::check;
use redis::RedisResult;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check;
        WholeTokens: polls_lose_nothing,
        RoundedAtSpending: exact,
        WindowCounter: no_second_burst,
        SecondsAsFloats: exact,
        EmptyAtFirst: exact,
        CostIsOne: exact,
        RefusalTakesRest: refusal_spends_nothing,
        RefusalMovesTime: refusal_spends_nothing,
        LooksLeaveKeys: odd_costs,
        TimeFollowsClock: clock_goes_back,
        StopsBehindClock: clock_goes_back,
        TtlOfOneToken: nothing_comes_early,
        TtlOfWindow: keys_expire,
        NoTtl: keys_expire,
        OneBucketForAll: keys_apart,
    ];
    all.extend(elsewhere::all());
    all
}

/// The bucket as it should be, for decoys that are wrong elsewhere.
const RIGHT: &str = r"
    local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
    local level, last = tonumber(bucket[1]) or window, tonumber(bucket[2]) or now
    local at = math.max(last, now)
    level = math.min(level + (at - last), window)
    local full_in = (at - now) + (window - level)
    if cost == 0 or cost > level then return {cost == 0 and 1 or 0, level, full_in} end
    level, full_in = level - cost, full_in + cost
    redis.call('HSET', KEYS[1], 'level', exact(level), 'at', exact(at))
    redis.call('PEXPIRE', KEYS[1], math.ceil(full_in / 1000) + 1 + spare)
    return {1, level, full_in}
";

/// Tokens are whole numbers, and each look adds those that have come since the last one. Who looks
/// more often than a token comes adds none each time, and forgets the rest. Rejected by
/// `polls_lose_nothing`.
struct WholeTokens(Plain);

impl Limiter for WholeTokens {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(WholeTokens)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
            local tokens = tonumber(bucket[1]) or window / every
            local at = tonumber(bucket[2]) or now
            tokens = math.min(tokens + math.floor(math.max(now - at, 0) / every), window / every)
            local allowed = cost <= tokens * every
            if allowed then tokens = tokens - cost / every end
            local full_in = window - tokens * every
            redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', exact(now))
            redis.call('PEXPIRE', KEYS[1], math.ceil(full_in / 1000) + 1 + spare)
            return {allowed and 1 or 0, tokens * every, full_in}";
        self.0.by(script, key, cost).await
    }
}

/// The same in a milder form: only who spends has the fraction taken. The rate is then a little
/// lower than it says, for the busiest keys most. Rejected by `exact`.
struct RoundedAtSpending(Plain);

impl Limiter for RoundedAtSpending {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(RoundedAtSpending)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
            local level, last = tonumber(bucket[1]) or window, tonumber(bucket[2]) or now
            local at = math.max(last, now)
            level = math.min(level + (at - last), window)
            local full_in = (at - now) + (window - level)
            if cost == 0 or cost > level then return {cost == 0 and 1 or 0, level, full_in} end
            level = math.floor(level / every) * every - cost
            full_in = (at - now) + (window - level)
            redis.call('HSET', KEYS[1], 'level', exact(level), 'at', exact(at))
            redis.call('PEXPIRE', KEYS[1], math.ceil(full_in / 1000) + 1 + spare)
            return {1, level, full_in}";
        self.0.by(script, key, cost).await
    }
}

/// INCRBY on a key for each window, with a TTL: the limiter of many tutorials. It is called a token
/// bucket as it has a burst and a rate; but at the edge of a window both halves give a burst.
/// Rejected by `no_second_burst`.
struct WindowCounter(Plain);

impl Limiter for WindowCounter {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(WindowCounter)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local begins = now - now % window
            local counter = KEYS[1] .. ':' .. exact(begins)
            local spent = tonumber(redis.call('GET', counter)) or 0
            local full_in = spent > 0 and begins + window - now or 0
            if cost == 0 or spent + cost > window then
              return {cost == 0 and 1 or 0, window - spent, full_in}
            end
            redis.call('INCRBY', counter, exact(cost))
            full_in = begins + window - now
            redis.call('PEXPIRE', counter, math.ceil(full_in / 1000) + 1 + spare)
            return {1, window - spent - cost, full_in}";
        self.0.by(script, key, cost).await
    }
}

/// Seconds and tokens as floating point numbers, as they come from `TIME`. Lua writes them with 14
/// digits, of which the seconds since 1970 take ten: of a token that comes back in less than a
/// millisecond, nothing is known. Rejected by `exact`.
struct SecondsAsFloats(Plain);

impl Limiter for SecondsAsFloats {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(SecondsAsFloats)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local seconds = now / 1000000
            local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
            local most = window / every
            local tokens, last = tonumber(bucket[1]) or most, tonumber(bucket[2]) or seconds
            local at = math.max(last, seconds)
            tokens = math.min(tokens + (at - last) * 1000000 / every, most)
            local full_in = (at - seconds) * 1000000 + (most - tokens) * every
            if cost == 0 or cost / every > tokens then
              return {cost == 0 and 1 or 0, tokens * every, full_in}
            end
            tokens, full_in = tokens - cost / every, full_in + cost
            redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(at))
            redis.call('PEXPIRE', KEYS[1], math.ceil(full_in / 1000) + 1 + spare)
            return {1, tokens * every, full_in}";
        self.0.by(script, key, cost).await
    }
}

/// A new bucket begins empty, as a new object begins with zeros. Each new customer is refused
/// first. Rejected by `exact`.
struct EmptyAtFirst(Plain);

impl Limiter for EmptyAtFirst {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(EmptyAtFirst)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
            local level, last = tonumber(bucket[1]) or 0, tonumber(bucket[2]) or now
            local at = math.max(last, now)
            level = math.min(level + (at - last), window)
            local allowed = cost <= level
            if allowed then level = level - cost end
            local full_in = (at - now) + (window - level)
            redis.call('HSET', KEYS[1], 'level', exact(level), 'at', exact(at))
            redis.call('PEXPIRE', KEYS[1], math.ceil(full_in / 1000) + 1 + spare)
            return {allowed and 1 or 0, level, full_in}";
        self.0.by(script, key, cost).await
    }
}

/// Takes one token, whatever it costs: the parameter came later, and the script stayed as it was.
/// Rejected by `exact`.
struct CostIsOne(Plain);

impl Limiter for CostIsOne {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(CostIsOne)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.by(RIGHT, key, cost.min(1)).await
    }
}

/// Takes what is left where it is not enough, and refuses all the same. Who asks for two when there
/// is one has none afterwards, and who goes on asking never gets any. Rejected by
/// `refusal_spends_nothing`.
struct RefusalTakesRest(Plain);

impl Limiter for RefusalTakesRest {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(RefusalTakesRest)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
            local level, last = tonumber(bucket[1]) or window, tonumber(bucket[2]) or now
            local at = math.max(last, now)
            level = math.min(level + (at - last), window)
            local full_in = (at - now) + (window - level)
            if cost == 0 then return {1, level, full_in} end
            local allowed = cost <= level
            level = math.max(level - cost, 0)
            full_in = (at - now) + (window - level)
            redis.call('HSET', KEYS[1], 'level', exact(level), 'at', exact(at))
            redis.call('PEXPIRE', KEYS[1], math.ceil(full_in / 1000) + 1 + spare)
            return {allowed and 1 or 0, level, full_in}";
        self.0.by(script, key, cost).await
    }
}

/// A refusal writes the time and not the level: what had come back until then is forgotten. Rejected
/// by `refusal_spends_nothing`.
struct RefusalMovesTime(Plain);

impl Limiter for RefusalMovesTime {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(RefusalMovesTime)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
            local kept, last = tonumber(bucket[1]) or window, tonumber(bucket[2]) or now
            local at = math.max(last, now)
            local level = math.min(kept + (at - last), window)
            local full_in = (at - now) + (window - level)
            if cost == 0 then return {1, level, full_in} end
            local allowed = cost <= level
            if allowed then
              level, full_in = level - cost, full_in + cost
              kept = level
            end
            redis.call('HSET', KEYS[1], 'level', exact(kept), 'at', exact(at))
            redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000) + 1 + spare)
            return {allowed and 1 or 0, level, full_in}";
        self.0.by(script, key, cost).await
    }
}

/// Writes the bucket back in any case, also a full one. Whoever looks, and whoever is refused for
/// asking too much, leaves a key behind. Rejected by `odd_costs`.
struct LooksLeaveKeys(Plain);

impl Limiter for LooksLeaveKeys {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(LooksLeaveKeys)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
            local level, last = tonumber(bucket[1]) or window, tonumber(bucket[2]) or now
            local at = math.max(last, now)
            level = math.min(level + (at - last), window)
            local allowed = cost <= level
            if allowed then level = level - cost end
            local full_in = (at - now) + (window - level)
            redis.call('HSET', KEYS[1], 'level', exact(level), 'at', exact(at))
            redis.call('PEXPIRE', KEYS[1], math.ceil(full_in / 1000) + 1 + spare)
            return {allowed and 1 or 0, level, full_in}";
        self.0.by(script, key, cost).await
    }
}

/// The bucket's time is the clock's, also where the clock went back: what had come back until then
/// comes back once more. Rejected by `clock_goes_back`.
struct TimeFollowsClock(Plain);

impl Limiter for TimeFollowsClock {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(TimeFollowsClock)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
            local level, last = tonumber(bucket[1]) or window, tonumber(bucket[2]) or now
            level = math.min(level + math.max(now - last, 0), window)
            local full_in = window - level
            if cost == 0 then return {1, level, full_in} end
            local allowed = cost <= level
            if allowed then level, full_in = level - cost, full_in + cost end
            if full_in > 0 then
              redis.call('HSET', KEYS[1], 'level', exact(level), 'at', exact(now))
              redis.call('PEXPIRE', KEYS[1], math.ceil(full_in / 1000) + 1 + spare)
            end
            return {allowed and 1 or 0, level, full_in}";
        self.0.by(script, key, cost).await
    }
}

/// Takes the way back for a debt: a clock that jumps back by a minute takes a minute's tokens, and
/// the way forward does not bring back what the bottom of the bucket has cut off. Rejected by
/// `clock_goes_back`.
struct StopsBehindClock(Plain);

impl Limiter for StopsBehindClock {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(StopsBehindClock)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let script = r"
            local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
            local level, last = tonumber(bucket[1]) or window, tonumber(bucket[2]) or now
            if now < last then
              redis.call('HSET', KEYS[1], 'level', 0)
              return {cost == 0 and 1 or 0, 0, window}
            end
            level = math.min(level + (now - last), window)
            if cost == 0 or cost > level then
              return {cost == 0 and 1 or 0, level, window - level}
            end
            level = level - cost
            redis.call('HSET', KEYS[1], 'level', exact(level), 'at', exact(now))
            redis.call('PEXPIRE', KEYS[1], math.ceil((window - level) / 1000) + 1 + spare)
            return {1, level, window - level}";
        self.0.by(script, key, cost).await
    }
}

/// The key lives as long as it takes for one token to come back. Then it is gone, and with it what
/// was spent: the whole burst is there. Rejected by `nothing_comes_early`.
struct TtlOfOneToken(Plain);

impl Limiter for TtlOfOneToken {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(TtlOfOneToken)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let short = RIGHT.replace("math.ceil(full_in / 1000)", "math.ceil(every / 1000)");
        self.0.by(&short, key, cost).await
    }
}

/// Every key lives for a whole window, also if it spent one token of a thousand. A crawler's
/// million addresses are then kept for a day instead of a minute. Rejected by `keys_expire`.
struct TtlOfWindow(Plain);

impl Limiter for TtlOfWindow {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(TtlOfWindow)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let long = RIGHT.replace("math.ceil(full_in / 1000)", "math.ceil(window / 1000)");
        self.0.by(&long, key, cost).await
    }
}

/// No TTL: the bucket of each address that ever asked is kept until somebody looks for the memory.
/// Rejected by `keys_expire`.
struct NoTtl(Plain);

impl Limiter for NoTtl {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(NoTtl)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let forever = RIGHT.replace("redis.call('PEXPIRE'", "redis.call('PTTL', KEYS[1]) --");
        self.0.by(&forever, key, cost).await
    }
}

/// One bucket for everybody, who then share a rate that was meant for each. Rejected by
/// `keys_apart`.
struct OneBucketForAll(Plain);

impl Limiter for OneBucketForAll {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(OneBucketForAll)
    }

    async fn decide(&self, _: &str, cost: u32) -> Decision {
        self.0.by(RIGHT, "bucket", cost).await
    }
}
