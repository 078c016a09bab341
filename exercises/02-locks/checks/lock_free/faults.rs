//! Connections that break, callers that leave, servers that stall or forget.

use super::Ways;
use super::scene::{Buyer, PATIENT, STEPS, Scene, Way, Wish, in_each_way};
use grading::{Finding, SOON, World};
use locks::lock_free::{Answer, Error, Options, Stock};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use testbed::proxy::Request;

/// One connection and one attempt: what the last caller left behind, the next one meets.
const NARROW: Options = Options { attempts: 1, connections: 1, ..PATIENT };

pub(super) async fn lost_answer<W: Ways>(world: World) -> Result<(), Finding> {
    in_each_way!(W, world, lost_answer_of)
}

async fn lost_answer_of<S: Stock>(scene: &mut Scene) -> Result<(), Finding> {
    let mut landed = 0;
    'steps: for step in 1..=STEPS {
        for (reply, too_many) in [(false, false), (true, false), (false, true), (true, true)] {
            if !scene.on_redis() && reply {
                // An answer that PostgreSQL gave and nobody heard: see `dropped_caller`.
                continue;
            }
            let product = scene.product();
            let buyer = scene.buyer::<S>("buyer", PATIENT).await?;
            let put = scene.number(5..9);
            buyer.put(&product, put).await?;
            let units = if too_many { put + 1 } else { put - 2 };
            let wish = Wish::new(scene, &product, units);
            if !break_at(scene, &buyer, &wish, step, reply).await? {
                if too_many {
                    // A refusal may have fewer steps than a sale.
                    continue;
                }
                break 'steps;
            }
            landed += 1;
            let (answer, sold) = match too_many {
                true => (Answer::SoldOut, 0),
                false => (Answer::Taken(units), units),
            };
            buyer.must(&wish, answer).await?;
            scene.books(&buyer, &product, put, sold).await?;
        }
    }
    match landed {
        0 => Err(Finding::inconclusive("nobody asked the server for anything")),
        _ => Ok(()),
    }
}

/// Asks once, and breaks the connection at a step. Whether it came to that.
async fn break_at<S: Stock>(
    scene: &mut Scene,
    buyer: &Arc<Buyer<S>>,
    wish: &Wish,
    step: usize,
    reply: bool,
) -> Result<bool, Finding> {
    if scene.on_redis() {
        let proxy = buyer.proxy();
        proxy.reset_count();
        let here = move |request: &Request| request.nth == step;
        let cut = if reply { proxy.cut_reply(here) } else { proxy.cut_request(here) };
        let _ = buyer.start(wish).await?;
        proxy.clear_rules();
        return Ok(cut.count() > 0);
    }
    let Some(barrier) = scene.hold(&[&**buyer], step)? else { return Ok(false) };
    let task = [buyer.start(wish)];
    let came = scene.gather(&barrier, &task).await?;
    if came > 0 {
        scene.end_sessions()?;
        scene.world.history().note(buyer.lane, "(its sessions are ended)");
    }
    scene.open(barrier)?;
    let [task] = task;
    let _ = task.await?;
    Ok(came > 0)
}

pub(super) async fn dropped_caller<W: Ways>(world: World) -> Result<(), Finding> {
    in_each_way!(W, world, dropped_caller_of)
}

async fn dropped_caller_of<S: Stock>(scene: &mut Scene) -> Result<(), Finding> {
    let mut held = 0;
    for step in 1..=STEPS {
        let (product, other) = (scene.product(), scene.another_product());
        let buyer = scene.buyer::<S>("buyer", NARROW).await?;
        let rival = scene.buyer::<S>("rival", PATIENT).await?;
        let put = scene.number(10..20);
        buyer.put(&product, put).await?;
        buyer.put(&other, put).await?;
        let Some(barrier) = scene.hold(&[&*buyer], step)? else { break };
        let wish = Wish::new(scene, &product, 4);
        let task = [buyer.start(&wish)];
        let came = scene.gather(&barrier, &task).await?;
        let [task] = task;
        task.abort();
        let _ = task.await;
        if scene.on_redis() {
            // What is held still goes its way, late.
            buyer.proxy().clear_rules();
        }
        scene.open(barrier)?;
        if came == 0 {
            break;
        }
        held += 1;
        // Somebody else buys, and then the next caller comes, on the same connection if that was
        // kept. He wants another product, and competes with nobody.
        let rivals = Wish::new(scene, &product, 1);
        rival.must(&rivals, Answer::Taken(1)).await?;
        let next = Wish::new(scene, &other, 2);
        buyer.at_once(&next, Answer::Taken(2)).await?;
        buyer.must(&wish, Answer::Taken(4)).await?;
        scene.books(&rival, &product, put, 5).await?;
        scene.books(&rival, &other, put, 2).await?;
    }
    match held {
        0 => Err(Finding::inconclusive("nobody asked the server for anything")),
        _ => Ok(()),
    }
}

pub(super) async fn clean_connection<W: Ways>(world: World) -> Result<(), Finding> {
    in_each_way!(W, world, clean_connection_of)
}

async fn clean_connection_of<S: Stock>(scene: &mut Scene) -> Result<(), Finding> {
    let (product, other) = (scene.product(), scene.another_product());
    let buyer = scene.buyer::<S>("buyer", NARROW).await?;
    let rival = scene.buyer::<S>("rival", PATIENT).await?;
    buyer.put(&product, 5).await?;
    buyer.put(&other, 5).await?;
    let nobody = scene.another_product();
    let too_many = Wish::new(scene, &product, 6);
    let unknown = Wish::new(scene, &nobody, 1);
    let had = Wish::new(scene, &product, 1);
    buyer.must(&had, Answer::Taken(1)).await?;
    for (refused, answer) in
        [(&too_many, Answer::SoldOut), (&unknown, Answer::Unknown), (&had, Answer::Taken(1))]
    {
        buyer.must(refused, answer).await?;
        // Others go on with that product, and we with another.
        let rivals = Wish::new(scene, &product, 1);
        rival.must(&rivals, Answer::Taken(1)).await?;
        let next = Wish::new(scene, &other, 1);
        buyer.at_once(&next, Answer::Taken(1)).await?;
        buyer.must(refused, answer).await?;
    }
    scene.books(&rival, &product, 5, 4).await?;
    scene.books(&rival, &other, 5, 3).await
}

pub(super) async fn gives_up<W: Ways>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world, Way::Watch).await?;
    let options = Options { attempts: 3, ..PATIENT };
    let slow = scene.buyer::<W::Watch>("slow", options).await?;
    let fast = scene.buyer::<W::Watch>("fast", PATIENT).await?;
    let product = scene.product();
    slow.put(&product, 100).await?;

    // Once somebody comes before: the next attempt is ours.
    let wish = Wish::new(&mut scene, &product, 5);
    let (answer, lost) = outrun(&mut scene, &slow, &fast, &wish, 1).await?;
    if lost == 0 {
        let saw = "it ended without one";
        return Err(slow.broken("an EXEC, which Redis may refuse", saw.to_owned()));
    }
    if !matches!(answer, Ok(Answer::Taken(5))) {
        let saw = answer.map_or_else(|error| error.to_string(), |answer| format!("{answer:?}"));
        return Err(slow.broken("Taken(5), for others came before only once", saw));
    }
    scene.books(&fast, &product, 100, 6).await?;

    // Each time somebody comes before: an end, at the attempt that was named.
    let wish = Wish::new(&mut scene, &product, 5);
    let (answer, lost) = outrun(&mut scene, &slow, &fast, &wish, 8).await?;
    if lost > 3 || !matches!(answer, Err(Error::Contended { .. })) {
        let saw = match answer {
            _ if lost > 3 => format!("attempt {lost}, and no end"),
            Ok(answer) => format!("{answer:?}"),
            Err(error) => error.to_string(),
        };
        return Err(slow.broken("Contended, after three attempts that others outran", saw));
    }
    let sold = 6 + u32::try_from(lost).unwrap_or(u32::MAX);
    scene.books(&fast, &product, 100, sold).await?;
    slow.must(&wish, Answer::Taken(5)).await?;
    scene.books(&fast, &product, 100, sold + 5).await
}

/// Takes for `slow`, while `fast` takes a unit before each of his first `times` EXECs. The answer,
/// and how often he was outrun.
async fn outrun<S: Stock>(
    scene: &mut Scene,
    slow: &Arc<Buyer<S>>,
    fast: &Buyer<S>,
    wish: &Wish,
    times: usize,
) -> Result<(Result<Answer, Error>, usize), Finding> {
    let is_exec = |request: &Request| request.is("EXEC");
    let mut gate = Gate::shut();
    slow.proxy().clear_rules();
    slow.proxy().hold_at(&gate, is_exec);
    let mut taking = slow.start(wish);
    for lost in 0..times {
        tokio::select! {
            came = gate.arrived(1, SOON) => came?,
            ended = &mut taking => {
                slow.proxy().clear_rules();
                return Ok((ended?, lost));
            }
        }
        let rivals = Wish::new(scene, &wish.product, 1);
        fast.must(&rivals, Answer::Taken(1)).await?;
        let passed = std::mem::replace(&mut gate, Gate::shut());
        if lost + 1 < times {
            slow.proxy().hold_at(&gate, is_exec);
        }
        passed.open();
    }
    if times > 1 {
        // Outrun each time, and still at it.
        taking.abort();
        return Ok((Err(Error::Slow(SOON)), times));
    }
    Ok((taking.await?, times))
}

pub(super) async fn stalls<W: Ways>(world: World) -> Result<(), Finding> {
    in_each_way!(W, world, stalls_of)
}

async fn stalls_of<S: Stock>(scene: &mut Scene) -> Result<(), Finding> {
    let options = Options { timeout: Duration::from_millis(200), connections: 1, ..PATIENT };
    let product = scene.product();
    let buyer = scene.buyer::<S>("buyer", options).await?;
    buyer.put(&product, 5).await?;
    let wish = Wish::new(scene, &product, 2);
    let stalled = scene.world.fault(match scene.on_redis() {
        true => "Redis does not answer",
        false => "somebody holds the row and does not go on",
    });
    match scene.on_redis() {
        true => buyer.proxy().stall(),
        false => scene.sql("BEGIN; UPDATE stock SET units = units")?,
    }
    // Twice at once: one of them may have to wait for the other's connection.
    let began = Instant::now();
    let limit = Duration::from_millis(1_500);
    let mut tasks = [buyer.start(&wish), buyer.start(&wish)];
    let both = async {
        for task in &mut tasks {
            let answer = task.await?;
            if let Ok(answer) = answer {
                return Err(buyer.broken("an error", format!("{answer:?}")));
            }
        }
        Ok(())
    };
    match tokio::time::timeout(limit, both).await {
        Ok(ended) => ended?,
        Err(_) => {
            let saw = format!("none after {:.1?}", began.elapsed());
            return Err(buyer.broken("an error soon after the timeout of 200 ms", saw));
        }
    }
    match scene.on_redis() {
        true => buyer.proxy().resume(),
        false => scene.sql("ROLLBACK")?,
    }
    drop(stalled);
    buyer.must(&wish, Answer::Taken(2)).await?;
    scene.books(&buyer, &product, 5, 2).await
}

pub(super) async fn forgets<W: Ways>(world: World) -> Result<(), Finding> {
    in_each_way!(W, world, forgets_of)
}

async fn forgets_of<S: Stock>(scene: &mut Scene) -> Result<(), Finding> {
    let product = scene.product();
    let buyer = scene.buyer::<S>("buyer", PATIENT).await?;
    buyer.put(&product, 10).await?;
    let first = Wish::new(scene, &product, 2);
    buyer.must(&first, Answer::Taken(2)).await?;

    if scene.on_redis() {
        scene.world.redis().script_flush().await?;
        scene.world.history().note(buyer.lane, "(Redis has forgotten all scripts)");
        let second = Wish::new(scene, &product, 2);
        buyer.at_once(&second, Answer::Taken(2)).await?;
        buyer.proxy().kill_connections();
    } else {
        let second = Wish::new(scene, &product, 2);
        buyer.at_once(&second, Answer::Taken(2)).await?;
        scene.end_sessions()?;
    }
    scene.world.history().note(buyer.lane, "(its connections are closed)");
    let third = Wish::new(scene, &product, 2);
    buyer.must(&third, Answer::Taken(2)).await?;
    scene.books(&buyer, &product, 10, 6).await?;

    // The server is the truth; whoever remembers more than it would sell what is not there.
    if scene.on_redis() {
        scene.world.redis().flush_all().await?;
    } else {
        scene.sql("TRUNCATE stock, sale")?;
    }
    scene.world.history().note(buyer.lane, "(the server has forgotten everything)");
    buyer.must(&first, Answer::Unknown).await?;
    let fourth = Wish::new(scene, &product, 2);
    buyer.must(&fourth, Answer::Unknown).await?;
    match buyer.left(&product).await? {
        None => Ok(()),
        Some(left) => Err(buyer.broken("left() to be None", format!("Some({left})"))),
    }
}
