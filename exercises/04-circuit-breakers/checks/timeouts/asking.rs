//! The next hop is asked: for how long, and what is it told?

use super::arriving::{arrived_whole, own_error, whole_answer};
use super::scene::{
    AGES, Broken, Ended, Next, ends, is_late, request, told, turns_late, unready, until, working,
};
use super::work::steps;
use circuit_breakers::timeouts::{Deadline, Deadlines, TIME_LEFT};
use grading::{Evidence, Finding, SOON, World};
use http::{Request, Response};
use rand::RngExt;
use std::time::Duration;
use tokio::time::Instant;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) async fn rounded_down<D: Deadlines>(world: World) -> Result<(), Finding> {
    let mut random = world.random();
    // Rounded to the nearest, half of them would be right.
    for round in 0..50 {
        world.history().turn_page();
        // Two months are more milliseconds than 32 bits can count.
        let long = Duration::from_secs(if round == 0 { 60 * 86_400 } else { 0 });
        let drawn = Duration::from_micros(random.random_range(2_000_000..8_000_000));
        let deadline = Deadline::in_time(long + drawn);
        let hop = Next::new(world.history(), "next hop");
        let asked = D::ask(hop.clone(), until(deadline), long + AGES);
        let (ended, step) = ends(world.history(), "hop", "asks on", SOON, asked).await?;
        if !matches!(ended, Ended::Answer(_)) {
            return Err(Evidence::new("the answer", ended.to_string()).at(step).into());
        }
        let seen = hop.only()?;
        let told = Duration::from_millis(seen.millis()?);
        // What was left while the header was written lies between these two.
        let most = deadline.instant() - seen.ready_at;
        let least = deadline.instant() - seen.called_at;
        if told > most {
            let expected = format!("at most what is left: {most:?}");
            return Err(Evidence::new(expected, format!("{told:?}")).at(seen.step).into());
        }
        if told + millis(1) <= least {
            let expected = format!("what is left, in whole milliseconds: {least:?}");
            return Err(Evidence::new(expected, format!("{told:?}")).at(seen.step).into());
        }
    }
    Ok(())
}

pub(super) async fn told_after_connecting<D: Deadlines>(world: World) -> Result<(), Finding> {
    let slow = millis(world.random().random_range(30..60));
    let deadline = Deadline::in_time(millis(5_000));
    let hop = Next::new(world.history(), "next hop").connecting(move || async move {
        tokio::time::sleep(slow).await;
        Ok(())
    });
    let asked = D::ask(hop.clone(), until(deadline), AGES);
    ends(world.history(), "hop", "asks on, with 5 s left", SOON, asked).await?;
    let seen = hop.only()?;
    let told = Duration::from_millis(seen.millis()?);
    let most = deadline.instant() - seen.ready_at;
    if told <= most {
        return Ok(());
    }
    let expected = format!("at most {most:?}: to connect has taken the rest");
    Err(Evidence::new(expected, format!("{told:?}")).at(seen.step).into())
}

pub(super) async fn one_header<D: Deadlines>(world: World) -> Result<(), Finding> {
    let deadline = Deadline::in_time(millis(5_000));
    let hop = Next::new(world.history(), "next hop");
    // As a gateway does that passes on all headers it got.
    let mut copied = request(&["9000", "7000"]);
    copied.extensions_mut().insert(deadline);
    let asked = D::ask(hop.clone(), copied, AGES);
    let what = "asks on, with 5 s left, and with the headers that it got";
    ends(world.history(), "hop", what, SOON, asked).await?;
    let seen = hop.only()?;
    match seen.millis()? {
        0..=5_000 => Ok(()),
        more => {
            let expected = format!("{TIME_LEFT} to be what is left of 5 s");
            Err(Evidence::new(expected, more.to_string()).at(seen.step).into())
        }
    }
}

pub(super) async fn patience_or_deadline<D: Deadlines>(world: World) -> Result<(), Finding> {
    let drawn = millis(world.random().random_range(2_000..5_000));
    let cases = [
        (Some(drawn * 2), drawn, "its own patience is shorter than what is left"),
        (None, drawn, "nobody has set a deadline, so its own patience counts"),
        (Some(drawn), drawn * 2, "what is left is shorter than its own patience"),
        (Some(drawn), Duration::MAX, "what is left is shorter than its own patience"),
    ];
    for (left, patience, why) in cases {
        world.history().turn_page();
        let hop = Next::new(world.history(), "next hop");
        let before = Instant::now();
        let request = left.map_or_else(|| request(&[]), |left| until(Deadline::in_time(left)));
        let asked = D::ask(hop.clone(), request, patience);
        let after = Instant::now();
        let what = match left {
            Some(left) => format!("asks on: {left:?} left, patience {patience:.0?}"),
            None => format!("asks on: no deadline, patience {patience:?}"),
        };
        let (ended, step) = ends(world.history(), "hop", &what, SOON, asked).await?;
        if !matches!(ended, Ended::Answer(_)) {
            return Err(Evidence::new("the answer", ended.to_string()).at(step).into());
        }
        let seen = hop.only()?;
        let (given, told) = (seen.deadline()?.instant(), Duration::from_millis(seen.millis()?));
        if given < before + drawn || given > after + drawn || told > drawn {
            let expected = format!("{drawn:?} for the next hop: {why}");
            let saw = format!("{told:?} told, and {:.1?} given", given - before);
            return Err(Evidence::new(expected, saw).at(seen.step).into());
        }
    }
    // And it is kept to: the call is dropped, with all that it holds.
    for (left, patience) in [(AGES, millis(60)), (millis(60), AGES)] {
        world.history().turn_page();
        let (steps, work) = steps(world.history(), "next hop");
        let silent = working(world.history(), "next hop", work);
        let began = Instant::now();
        // Kept, as in a list of those that are not all over: that is what has to end the work.
        let mut asked = Box::pin(D::ask(silent, until(Deadline::in_time(left)), patience));
        let what = format!("asks on: {left:?} left, patience {patience:?}");
        let late = is_late(world.history(), "hop", &what, asked.as_mut()).await?;
        let early = left.min(patience).saturating_sub(began.elapsed());
        if !early.is_zero() {
            let saw = format!("Late {early:.0?} before the deadline");
            return Err(Evidence::new("to wait until the deadline", saw).at(late).into());
        }
        steps.must_end(Some(late), "nobody waits for the answer").await?;
    }
    Ok(())
}

pub(super) async fn not_asked_too_late<D: Deadlines>(world: World) -> Result<(), Finding> {
    for left in [Duration::ZERO, Duration::from_micros(900)] {
        world.history().turn_page();
        let hop = Next::new(world.history(), "next hop");
        let asked = D::ask(hop.clone(), until(Deadline::in_time(left)), AGES);
        let what = format!("asks on, with {left:?} left");
        is_late(world.history(), "hop", &what, asked).await?;
        hop.uncalled("there is not a whole millisecond left to tell it of")?;
    }
    world.history().turn_page();
    let hop = Next::new(world.history(), "next hop");
    let asked = D::ask(hop.clone(), request(&[]), Duration::ZERO);
    is_late(world.history(), "hop", "asks on, with no patience at all", asked).await?;
    hop.untouched("nobody waits for it")?;

    world.history().turn_page();
    let hop = Next::new(world.history(), "next hop");
    let call = world.invoke("hop", "asks on, with 30 ms left");
    let asked = D::ask(hop.clone(), until(Deadline::in_time(millis(30))), AGES);
    {
        let _busy = world.fault("the machine is busy: the call begins when its time is over");
        tokio::time::sleep(millis(40)).await;
    }
    turns_late(call, asked).await?;
    hop.untouched("its time was over")
}

pub(super) async fn connecting_takes_all<D: Deadlines>(world: World) -> Result<(), Finding> {
    let (began, mut landed, less) = (Instant::now(), 0, Duration::from_micros(900));
    // A busy machine misses the last moment most of the time.
    while landed < 3 && began.elapsed() < SOON {
        world.history().turn_page();
        let deadline = Deadline::in_time(millis(8));
        let hop = Next::new(world.history(), "next hop").connecting(move || async move {
            // To the very end, and no timer is that exact.
            while deadline.left() > less {
                std::hint::spin_loop();
            }
            Ok(())
        });
        let asked = D::ask(hop.clone(), until(deadline), AGES);
        is_late(world.history(), "hop", "asks on, with 8 ms left", asked).await?;
        hop.uncalled("to connect has left less than a millisecond to tell it of")?;
        landed += usize::from(hop.was_ready_before(deadline.instant()));
    }
    match landed {
        0 => Err(Finding::inconclusive("the machine was too busy to be ready at the last moment")),
        _ => Ok(()),
    }
}

pub(super) async fn connecting_counts<D: Deadlines>(world: World) -> Result<(), Finding> {
    // A real Redis that takes the connection, and then says nothing.
    let proxy = world.client("next hop").await?;
    proxy.stall();
    let url = proxy.url().to_owned();
    for (left, patience) in [(millis(80), AGES), (AGES, millis(80))] {
        let url = url.clone();
        let hop = Next::new(world.history(), "next hop").connecting(move || {
            let url = url.clone();
            async move {
                // The crate's own limits must not save anybody.
                let patient = redis::AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(None);
                let client = redis::Client::open(url)?;
                client.get_multiplexed_async_connection_with_config(&patient).await?;
                Ok(())
            }
        });
        let _fault = world.fault("Redis takes the connection, and says nothing");
        let asked = D::ask(hop.clone(), until(Deadline::in_time(left)), patience);
        let what = format!("asks on: {left:?} left, patience {patience:?}");
        is_late(world.history(), "hop", &what, asked).await?;
        if world.history().last("next hop", "connects").is_none() {
            return Err(Finding::inconclusive("nobody tried to connect"));
        }
        hop.uncalled("it was never ready")?;
    }
    world.history().turn_page();
    let (steps, work) = steps(world.history(), "next hop");
    let hop = unready(world.history(), "next hop", work);
    let asked = D::ask(hop.clone(), until(Deadline::in_time(millis(80))), AGES);
    let late = is_late(world.history(), "hop", "asks on, with 80 ms left", asked).await?;
    hop.uncalled("it was never ready")?;
    steps.must_end(Some(late), "nobody waits for the connection any more").await
}

pub(super) async fn asked_in_time<D: Deadlines>(world: World) -> Result<(), Finding> {
    let hop = Next::new(world.history(), "next hop")
        .connecting(async || {
            tokio::task::yield_now().await;
            Ok(())
        })
        .answering(async |_| {
            tokio::task::yield_now().await;
            let answer = Response::builder().status(202).header("x-shop", "kept");
            Ok(answer.body("what the service said".to_owned())?)
        });
    let sent = Request::builder()
        .method("POST")
        .uri("/checkout?express=1")
        .header("x-caller", "kept")
        .extension(7_u32)
        .extension(Deadline::in_time(millis(4_000)))
        .body("what the caller sent".to_owned())
        .map_err(|error| Finding::inconclusive(error.to_string()))?;
    let asked = D::ask(hop.clone(), sent, AGES);
    let (ended, step) = ends(world.history(), "hop", "asks on", SOON, asked).await?;
    let Ended::Answer(answer) = ended else {
        return Err(Evidence::new("the answer", ended.to_string()).at(step).into());
    };
    let seen = hop.only()?;
    let lost = arrived_whole(&seen.request);
    if !lost.is_empty() {
        let expected = "the request to arrive as it was sent";
        return Err(Evidence::new(expected, format!("lost: {lost}")).at(seen.step).into());
    }
    if told(&seen.request).is_none() {
        let expected = "to be told how much time is left";
        return Err(Evidence::new(expected, "nothing").at(seen.step).into());
    }
    whole_answer(&answer).map_err(|evidence| evidence.at(step))?;
    let broken = Next::new(world.history(), "next hop")
        .answering(async |_| Err(Broken("the service's own error").into()));
    let asked = D::ask(broken, request(&[]), AGES);
    own_error(ends(world.history(), "hop", "asks on", SOON, asked).await?)?;
    let unready = Next::new(world.history(), "next hop")
        .connecting(async || Err(Broken("the service's own error").into()));
    let asked = D::ask(unready, request(&[]), AGES);
    own_error(ends(world.history(), "hop", "asks on", SOON, asked).await?)
}
