//! What is spent, refused and refilled, on a clock that the check sets.

use crate::meter::Meter;
use crate::scene::{Client, Timed, in_full, key, keys, present, quota};
use grading::{Evidence, Finding, World};
use rand::RngExt;
use rand::rngs::StdRng;
use rate_limiting::limiter::{Decision, GivenClock, Limiter, Quota};
use std::time::Duration;

pub(crate) async fn exact<S: Limiter>(world: World) -> Result<(), Finding> {
    let mut random = world.random();
    let mut proxy = world.client("client").await?;
    // The short ones come first: where one fails, it is easy to read.
    for (nth, requests) in [2, 2, 3, 4, 5, 6, 7, 8].into_iter().enumerate() {
        let quota = any_quota(&mut random);
        let timed = Timed::<S>::new(&world, proxy, quota, present(&mut random))?;
        replay(&timed, &mut random, quota, (nth, requests)).await?;
        proxy = timed.into_proxy();
    }
    Ok(())
}

pub(crate) async fn far_times<S: Limiter>(world: World) -> Result<(), Finding> {
    let mut random = world.random();
    let mut proxy = world.client("client").await?;
    for (nth, requests) in [2, 2, 2, 4, 4, 4, 6, 6, 6].into_iter().enumerate() {
        let began = match nth % 3 {
            0 => GivenClock::LATEST - random.random_range(50_000_000..100_000_000),
            1 => random.random_range(0..1_000),
            _ => random.random_range(0..GivenClock::LATEST / 2),
        };
        let every = Duration::from_micros(random.random_range(1..100_000));
        let quota = quota(random.random_range(1..8), every);
        let timed = Timed::<S>::new(&world, proxy, quota, began)?;
        replay(&timed, &mut random, quota, (nth, requests)).await?;
        proxy = timed.into_proxy();
    }
    Ok(())
}

/// Replays a few traces that are drawn, and holds each answer to the meter's.
async fn replay<S: Limiter>(
    timed: &Timed<S>,
    random: &mut StdRng,
    quota: Quota,
    (nth, requests): (usize, u64),
) -> Result<(), Finding> {
    // Redis learns whatever it has to learn, before the page is turned.
    let _ = timed.client.limiter.decide("another", 0).await;
    for trace in 0..5 {
        timed.turn_page(quota);
        let key = format!("{}:{nth}{trace}", key(random));
        let mut meter = Meter::new(quota);
        let mut since = 0;
        for _ in 0..requests {
            since += any_step(random, quota);
            let cost = any_cost(random, quota);
            let decision = timed.at(Duration::from_micros(since)).decide(&key, cost).await;
            same(&timed.client, meter.decide(timed.now(), cost), decision)?;
        }
    }
    Ok(())
}

fn same<S: Limiter>(client: &Client<S>, expected: Decision, saw: Decision) -> Result<(), Finding> {
    if expected == saw {
        return Ok(());
    }
    let evidence = Evidence::new(in_full(&expected), in_full(&saw));
    Err(evidence.at(client.last_answer()).into())
}

/// From a microsecond to an hour for a unit, and a few odd ones.
fn any_quota(random: &mut StdRng) -> Quota {
    let every = match random.random_range(0..5) {
        0 => random.random_range(1..10),
        1 => 333_334,
        2 => 1_000_000,
        3 => random.random_range(1..1_000_000),
        _ => random.random_range(1..3_600_000_000),
    };
    quota(random.random_range(1..9), Duration::from_micros(every))
}

/// Not at all, less than a unit, about so many units, or long enough for everything.
fn any_step(random: &mut StdRng, quota: Quota) -> u64 {
    let every = quota.every_micros();
    match random.random_range(0..6) {
        0 | 1 => 0,
        2 => random.random_range(0..=every),
        3 => every * u64::from(random.random_range(1..=quota.burst())),
        4 => every * u64::from(random.random_range(1..=quota.burst())) - 1,
        _ => random.random_range(0..=3 * quota.window_micros()),
    }
}

fn any_cost(random: &mut StdRng, quota: Quota) -> u32 {
    match random.random_range(0..12) {
        0 => 0,
        1 => quota.burst() + random.random_range(1..4),
        2 => quota.burst(),
        3..7 => random.random_range(1..=quota.burst()),
        _ => 1,
    }
}

pub(crate) async fn no_second_burst<S: Limiter>(world: World) -> Result<(), Finding> {
    const BURST: u32 = 5;
    let (mut random, every) = (world.random(), Duration::from_millis(100));
    let quota = quota(BURST, every);
    let timed = Timed::<S>::fresh(&world, quota).await?;
    let key = key(&mut random);
    let mut slower = Ok(());
    // One of these moments is just before the edge of a window, whatever windows somebody counts.
    for moment in 0..BURST {
        timed.turn_page(quota);
        let key = format!("{key}:{moment}");
        let begin = every * moment;
        timed.at(begin).must(&key, BURST, true, "the burst was not touched").await?;
        let next = timed.at(begin + every);
        let spent = next.spend_all(&key, BURST).await?;
        let expected = format!("1 unit: {every:?} after a whole burst, one has come back");
        let evidence = Evidence::new(expected, spent.to_string()).at(next.last_answer());
        match spent {
            1 => {}
            // Who counts by windows gives nothing within one, and two bursts at its edge. That is
            // what is to be shown, so the other moments are tried first.
            0 => slower = Err(evidence.into()),
            _ => return Err(evidence.into()),
        }
    }
    slower
}

pub(crate) async fn polls_lose_nothing<S: Limiter>(world: World) -> Result<(), Finding> {
    const EVERY: u64 = 50;
    const UNITS: u64 = 4;
    let (mut random, every) = (world.random(), Duration::from_millis(EVERY));
    let timed = Timed::<S>::fresh(&world, quota(3, every)).await?;
    let key = key(&mut random);
    timed.at(Duration::ZERO).must(&key, 3, true, "the burst was not touched").await?;
    for milli in 1..=EVERY * UNITS {
        // Hundreds of polls would hide the one that counts.
        if milli % EVERY != 0 {
            world.history().turn_page();
        }
        if milli % EVERY == EVERY - 1 {
            let before = "(+0 ms: the burst is spent; since then a poll each millisecond)";
            world.history().note("client", before);
        }
        let client = timed.at(Duration::from_millis(milli));
        let why = match milli % EVERY == 0 {
            true => format!("{every:?} have passed since the last unit, in steps of a millisecond"),
            false => format!("a unit comes back each {every:?}"),
        };
        client.must(&key, 1, milli % EVERY == 0, &why).await?;
    }
    Ok(())
}

pub(crate) async fn refusal_spends_nothing<S: Limiter>(world: World) -> Result<(), Finding> {
    let (mut random, every) = (world.random(), Duration::from_millis(100));
    let timed = Timed::<S>::fresh(&world, quota(3, every)).await?;
    let key = key(&mut random);
    let now = timed.at(Duration::ZERO);
    now.must(&key, 3, true, "the burst was not touched").await?;
    now.must(&key, 1, false, "nothing is left").await?;
    let later = timed.at(every * 3 / 2);
    later.must(&key, 3, false, "one unit is back").await?;
    later.must(&key, 2, false, "one unit is back").await?;
    later.must(&key, 1, true, "one unit is back, and the refusals took none").await?;
    let later = timed.at(every * 2);
    later.must(&key, 1, true, "the second unit is back, and the refusals took none of it").await?;
    later.must(&key, 1, false, "both units that came back are spent").await?;
    Ok(())
}

pub(crate) async fn odd_costs<S: Limiter>(world: World) -> Result<(), Finding> {
    let (mut random, every) = (world.random(), Duration::from_millis(100));
    let burst = random.random_range(3..6);
    let timed = Timed::<S>::fresh(&world, quota(burst, every)).await?;
    let key = key(&mut random);
    let now = timed.at(Duration::ZERO);
    now.must(&key, 0, true, "a look is always allowed").await?;
    for cost in [burst + 1, u32::MAX] {
        let why = format!("{cost} are above the burst of {burst}");
        let decision = now.must(&key, cost, false, &why).await?;
        if decision.retry_after.is_some() {
            let expected = "never again: no wait makes the burst larger";
            let evidence = Evidence::new(expected, in_full(&decision));
            return Err(evidence.at(now.last_answer()).into());
        }
    }
    if let Some((left, _)) = keys(&world).await?.first() {
        let evidence = Evidence::new("no key: nothing was spent", left);
        return Err(evidence.at(now.last_answer()).into());
    }
    now.must(&key, burst, true, "looks and refusals have spent nothing").await?;
    let look = now.must(&key, 0, true, "a look is allowed where nothing is left, too").await?;
    if look.remaining != 0 {
        return Err(now.broken("0 left", &look));
    }
    now.must(&key, u32::MAX, false, "it is above the burst").await?;
    let all = timed.at(every * burst);
    all.must(&key, burst, true, "the whole burst is back").await?;
    Ok(())
}

pub(crate) async fn clock_goes_back<S: Limiter>(world: World) -> Result<(), Finding> {
    let mut random = world.random();
    let every = Duration::from_millis(100);
    // By less than a unit, by some, and by more than a window.
    for back in [random.random_range(1..100), random.random_range(100..400), 90_000] {
        world.history().turn_page();
        let burst = random.random_range(4..7);
        let timed = Timed::<S>::fresh(&world, quota(burst, every)).await?;
        let key = format!("{}:{back}", key(&mut random));
        let then = Duration::from_secs(100);
        let before = timed.at(then);
        before.must(&key, burst - 2, true, "the burst was not touched").await?;
        let spent = timed.at(then - Duration::from_millis(back)).spend_all(&key, burst).await?;
        let rest = timed.at(then).spend_all(&key, burst).await?;
        let all = spent + rest;
        if all != 2 {
            let expected = "2 more units in all, whatever the clock does in between";
            let saw = format!("{all}: {spent} while the clock was back, {rest} after");
            return Err(Evidence::new(expected, saw).at(timed.client.last_answer()).into());
        }
        let next = timed.at(then + every);
        next.must(&key, 1, true, "a unit's time has passed since the latest time").await?;
        next.must(&key, 1, false, "one unit's time has passed, and not more").await?;
        let full = timed.at(then + every * (burst + 1));
        full.must(&key, burst, true, "the whole burst is back").await?;
    }
    Ok(())
}

pub(crate) async fn nothing_saved_up<S: Limiter>(world: World) -> Result<(), Finding> {
    let mut random = world.random();
    let burst = random.random_range(2..6);
    let timed = Timed::<S>::fresh(&world, quota(burst, Duration::from_millis(100))).await?;
    let key = key(&mut random);
    timed.at(Duration::ZERO).must(&key, 1, true, "the burst was not touched").await?;
    let year = timed.at(Duration::from_secs(365 * 24 * 3_600));
    let spent = year.spend_all(&key, burst + 2).await?;
    if spent != burst {
        let expected = format!("{burst} units after a year's rest: the burst, and no more");
        let saw = format!("{spent}{}", if spent > burst { " and more" } else { "" });
        return Err(Evidence::new(expected, saw).at(year.last_answer()).into());
    }
    Ok(())
}
