//! A request comes: until when is it worked on, and what becomes of the work?

use super::scene::{
    AGES, Broken, Ended, Next, SPANS, ends, is_late, request, told, turns_late, unready, until,
    working,
};
use super::work::steps;
use circuit_breakers::timeouts::{Deadline, Deadlines};
use grading::{Evidence, Finding, SOON, World};
use http::{Request, Response};
use rand::RngExt;
use std::time::Duration;
use tokio::time::Instant;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Serves `request` with a hop that answers at once, and holds the deadline that the hop was given
/// against the span that it should be.
async fn given<D: Deadlines>(
    world: &World,
    request: Request<String>,
    longest: Duration,
    should: Duration,
    why: &str,
) -> Result<(), Finding> {
    let hop = Next::new(world.history(), "service");
    let what = match told(&request) {
        Some(told) => format!("time-left: {told}, longest {longest:?}"),
        None => format!("no time-left, longest {longest:?}"),
    };
    let before = Instant::now();
    let served = D::serve(hop.clone(), request, longest);
    let after = Instant::now();
    let (ended, step) = ends(world.history(), "caller", &what, SOON, served).await?;
    let seen = match ended {
        Ended::Answer(_) => hop.only()?,
        other => {
            let expected = format!("{should:?} to work in: {why}");
            return Err(Evidence::new(expected, other.to_string()).at(step).into());
        }
    };
    let deadline = seen.deadline()?.instant();
    if before + should <= deadline && deadline <= after + should {
        return Ok(());
    }
    let saw = deadline.saturating_duration_since(before);
    let expected = format!("{should:?} to work in: {why}");
    Err(Evidence::new(expected, format!("about {saw:.1?}")).at(seen.step).into())
}

pub(super) async fn the_earliest_counts<D: Deadlines>(world: World) -> Result<(), Finding> {
    let drawn = world.random().random_range(2_000..5_000);
    let text = drawn.to_string();
    given::<D>(&world, request(&[&text]), AGES, millis(drawn), "the caller waits no longer")
        .await?;
    let own = millis(drawn - 1_000);
    given::<D>(&world, request(&[&text]), own, own, "the service's own longest is shorter").await?;
    given::<D>(&world, request(&[]), own, own, "nobody said anything").await?;
    // Two layers before one service: the outer one's deadline stands in the extensions. It may be
    // the latest of the three as well as the earliest.
    let outer = |text: &str| {
        let mut both = until(Deadline::in_time(millis(drawn + 2_000)));
        both.headers_mut().extend(request(&[text]).headers().clone());
        both
    };
    let why = "the caller waits no longer, though an outer layer would";
    given::<D>(&world, outer(&text), AGES, millis(drawn), why).await?;
    let why = "the service's own longest is shorter than an outer layer's deadline";
    given::<D>(&world, outer("9000"), own, own, why).await?;
    let hop = Next::new(world.history(), "service");
    let outer = Deadline::in_time(own);
    let mut both = until(outer);
    both.headers_mut().extend(request(&[&text]).headers().clone());
    let what = format!("time-left: {text}, and an outer layer's {own:?}");
    let served = D::serve(hop.clone(), both, AGES);
    let (_, step) = ends(world.history(), "caller", &what, SOON, served).await?;
    let given = hop.only()?.deadline()?;
    if given == outer {
        return Ok(());
    }
    let expected = "the earliest of three: that which an outer layer has set";
    let saw = format!("{:.1?} left", given.left());
    Err(Evidence::new(expected, saw).at(step).into())
}

pub(super) async fn requests_apart<D: Deadlines>(world: World) -> Result<(), Finding> {
    let short = world.random().random_range(3_000..4_000);
    let (history, text) = (world.history(), short.to_string());
    // The first has much time, the second little, and both are under way.
    let (_allows_first, work) = steps(history, "service");
    let first = working(history, "service", work);
    let serves_first = tokio::spawn(D::serve(first.clone(), request(&["8000"]), AGES));
    let called = first.clone().gets_called(&serves_first).await;
    let (_allows_second, work) = steps(history, "service");
    let second = working(history, "service", work);
    let serves_second = tokio::spawn(D::serve(second.clone(), request(&[&text]), AGES));
    if !(called && second.clone().gets_called(&serves_second).await) {
        let saw = "a request that was answered before its work was done, or never begun";
        return Err(Evidence::new("two requests to be worked on", saw).into());
    }
    let known = first.only()?.deadline()?;
    // What the first asks is asked with its own deadline, and what nobody waits for with none.
    for (what, asks) in [("the first asks on", until(known)), ("a job asks", request(&[]))] {
        let hop = Next::new(history, "next hop");
        let asked = D::ask(hop.clone(), asks, millis(7_000));
        ends(history, "hop", what, SOON, asked).await?;
        let seen = hop.only()?;
        let told = seen.millis()?;
        if told <= short {
            let expected =
                "what is left of its own time: the second request has a deadline of its own";
            return Err(Evidence::new(expected, told.to_string()).at(seen.step).into());
        }
    }
    serves_first.abort();
    serves_second.abort();
    Ok(())
}

pub(super) async fn odd_headers<D: Deadlines>(world: World) -> Result<(), Finding> {
    let longest = millis(world.random().random_range(2_000..5_000));
    let why = "what cannot be read is as good as not there";
    for odd in ["", "soon", "250ms", "1.5", "0x10", "1e3", "--5", "-", "3 0", "²", "Inf"] {
        world.history().turn_page();
        given::<D>(&world, request(&[odd]), longest, longest, why).await?;
    }
    let why = "a number too large for any integer is a large number";
    for huge in ["18446744073709551615", "18446744073709551616", "99999999999999999999999999999"] {
        world.history().turn_page();
        given::<D>(&world, request(&[huge]), longest, longest, why).await?;
    }
    world.history().turn_page();
    let forever = D::serve(
        Next::new(world.history(), "service"),
        request(&["18446744073709551615"]),
        Duration::MAX,
    );
    match ends(world.history(), "caller", "no limit at all", SOON, forever).await? {
        (Ended::Answer(_), _) => Ok(()),
        (other, step) => {
            Err(Evidence::new("the service's answer", other.to_string()).at(step).into())
        }
    }
}

pub(super) async fn several_headers<D: Deadlines>(world: World) -> Result<(), Finding> {
    let small = world.random().random_range(1_000..2_000);
    let (text, large) = (small.to_string(), (small + 1_500).to_string());
    let in_one_line = format!("{large}, {text}");
    let with_odd = format!("soon,{text} , ");
    let with_letters = format!("für später,{text}");
    for lines in [
        &[large.as_str(), text.as_str()][..],
        &[text.as_str(), large.as_str()][..],
        &[in_one_line.as_str()][..],
        &[with_odd.as_str()][..],
        &[with_letters.as_str()][..],
        &["soon", in_one_line.as_str(), ""][..],
    ] {
        world.history().turn_page();
        let why = "of several, the smallest counts";
        given::<D>(&world, request(lines), AGES, millis(small), why).await?;
    }
    Ok(())
}

pub(super) async fn nothing_left<D: Deadlines>(world: World) -> Result<(), Finding> {
    for none in [
        &["0"][..],
        &["000"],
        &["-1"],
        &["-30000"],
        &["5000", "0"],
        &["5000, 0"],
        &["-9223372036854775809"],
        &["-99999999999999999999999999999"],
    ] {
        world.history().turn_page();
        let hop = Next::new(world.history(), "service");
        let what = format!("time-left: {}", none.join(" | "));
        is_late(world.history(), "caller", &what, D::serve(hop.clone(), request(none), AGES))
            .await?;
        hop.untouched("nothing was left for it")?;
    }
    world.history().turn_page();
    let hop = Next::new(world.history(), "service");
    let over = until(Deadline::in_time(Duration::ZERO));
    let served = D::serve(hop.clone(), over, AGES);
    is_late(world.history(), "caller", "an outer layer's deadline is over", served).await?;
    hop.untouched("nothing was left for it")?;
    let served = D::serve(hop.clone(), request(&["5000"]), Duration::ZERO);
    is_late(world.history(), "caller", "time-left: 5000, longest 0", served).await?;
    hop.untouched("nothing was left for it")
}

pub(super) async fn queue_counts<D: Deadlines>(world: World) -> Result<(), Finding> {
    let left = millis(world.random().random_range(20..60));
    let hop = Next::new(world.history(), "service");
    let header = left.as_millis().to_string();
    let call = world.invoke("caller", format!("time-left: {header}"));
    let served = D::serve(hop.clone(), request(&[&header]), AGES);
    {
        let _queue = world.fault("the request waits in a queue, for longer than it has");
        tokio::time::sleep(left + millis(10)).await;
    }
    turns_late(call, served).await?;
    hop.untouched("its time was over when it came out of the queue")
}

pub(super) async fn waiting_for_a_place<D: Deadlines>(world: World) -> Result<(), Finding> {
    for (text, longest) in [("80", AGES), ("8000", millis(80))] {
        world.history().turn_page();
        // As behind a limit on concurrency whose places are all taken.
        let (steps, work) = steps(world.history(), "service");
        let hop = unready(world.history(), "service", work);
        let served = D::serve(hop.clone(), request(&[text]), longest);
        let what = format!("time-left: {text}, longest {longest:?}");
        let late = is_late(world.history(), "caller", &what, served).await?;
        hop.uncalled("it was never ready")?;
        steps.must_end(Some(late), "nobody waits for the place any more").await?;
    }
    Ok(())
}

pub(super) async fn work_ends<D: Deadlines>(world: World) -> Result<(), Finding> {
    for span in SPANS {
        world.history().turn_page();
        let (steps, work) = steps(world.history(), "service");
        let hop = working(world.history(), "service", work);
        let header = span.as_millis().to_string();
        let began = Instant::now();
        let mut served = Box::pin(D::serve(hop, request(&[&header]), AGES));
        let history = world.history().clone();
        let what = format!("time-left: {header}");
        let caller = tokio::spawn(async move {
            let late = is_late(&history, "caller", &what, served.as_mut()).await?;
            Ok::<_, Finding>((late, span.saturating_sub(began.elapsed()), served))
        });
        let begun = steps.take(3).await;
        // Kept, as in a list of those that are not all over: that is what has to end the work, and
        // not that somebody lets go of what has answered.
        let (late, early, _served) = caller.await??;
        if !early.is_zero() {
            let saw = format!("Late {early:.0?} before the deadline");
            return Err(Evidence::new("work until the deadline", saw).at(late).into());
        }
        if begun? {
            return steps.must_end(Some(late), "the caller was told that it is late").await;
        }
    }
    Err(Finding::inconclusive("the machine was too busy to begin in time"))
}

pub(super) async fn served_in_time<D: Deadlines>(world: World) -> Result<(), Finding> {
    let hop = Next::new(world.history(), "service").answering(async |_| {
        tokio::task::yield_now().await;
        let answer = Response::builder().status(202).header("x-shop", "kept");
        Ok(answer.body("what the service said".to_owned())?)
    });
    let sent = Request::builder()
        .method("POST")
        .uri("/checkout?express=1")
        .header("x-caller", "kept")
        .header("time-left", "4000")
        .extension(7_u32)
        .body("what the caller sent".to_owned())
        .map_err(|error| Finding::inconclusive(error.to_string()))?;
    let served = D::serve(hop.clone(), sent, AGES);
    let (ended, step) = ends(world.history(), "caller", "time-left: 4000", SOON, served).await?;
    let Ended::Answer(answer) = ended else {
        return Err(Evidence::new("the answer", ended.to_string()).at(step).into());
    };
    let seen = hop.only()?;
    let lost = arrived_whole(&seen.request);
    if !lost.is_empty() {
        let expected = "the request to arrive as it was sent";
        return Err(Evidence::new(expected, format!("lost: {lost}")).at(seen.step).into());
    }
    if let Some(told) = told(&seen.request) {
        let expected = "no time-left behind the door: from here on it would be old";
        return Err(Evidence::new(expected, told).at(seen.step).into());
    }
    whole_answer(&answer).map_err(|evidence| evidence.at(step))?;
    let broken = Next::new(world.history(), "service")
        .answering(async |_| Err(Broken("the service's own error").into()));
    let served = D::serve(broken, request(&["4000"]), AGES);
    own_error(ends(world.history(), "caller", "time-left: 4000", SOON, served).await?)?;
    let unready = Next::new(world.history(), "service")
        .connecting(async || Err(Broken("the service's own error").into()));
    let served = D::serve(unready, request(&["4000"]), AGES);
    own_error(ends(world.history(), "caller", "time-left: 4000", SOON, served).await?)
}

/// What of the request that [`served_in_time`] and its like send is missing.
pub(super) fn arrived_whole(request: &Request<String>) -> String {
    let whole = [
        (request.method() == "POST", "its method"),
        (request.uri() == "/checkout?express=1", "its path"),
        (request.headers().contains_key("x-caller"), "its headers"),
        (request.extensions().get::<u32>() == Some(&7), "its extensions"),
        (request.body() == "what the caller sent", "its body"),
    ];
    let lost: Vec<_> = whole.iter().filter(|(whole, _)| !whole).map(|(_, what)| *what).collect();
    lost.join(", ")
}

pub(super) fn whole_answer(answer: &Response<String>) -> Result<(), Evidence> {
    let whole = answer.status() == 202
        && answer.headers().contains_key("x-shop")
        && answer.body() == "what the service said";
    match whole {
        true => Ok(()),
        false => Err(Evidence::new("the service's own answer", format!("{answer:?}"))),
    }
}

pub(super) fn own_error((ended, step): (Ended, grading::history::Step)) -> Result<(), Finding> {
    match ended {
        Ended::Failed(error) if error.is::<Broken>() => Ok(()),
        other => {
            let expected = "the service's own error, as it is";
            Err(Evidence::new(expected, other.to_string()).at(step).into())
        }
    }
}
