//! What a cache must withstand that protects its database from its own readers.

use crate::scene::{Client, Price, SOON, Scene, comes_to};
use caching::stampede::{Error, Options, ProtectedCache, Scope};
use grading::{Check, Child, Evidence, Finding, World};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use testbed::gate::Gate;
use testbed::origin::OriginDown;
use tokio::task::JoinHandle;

const PAGE: &str = "docs/lessons/stampede.md";

/// How long a load is held to see whether a second one comes. Those that come, come at once.
const WINDOW: Duration = Duration::from_millis(250);

/// No stale answers, no early refresh, unless a check asks for them.
const PLAIN: Options = Options {
    ttl: Duration::from_secs(60),
    stale: Duration::ZERO,
    beta: 0.0,
    scope: Scope::Fleet,
    lease: Duration::from_millis(500),
    timeout: Duration::from_secs(1),
};

/// For checks that count loads while they hold one: the lease outlives the window in which a
/// second load may show itself, on a busy machine too.
const LONG_LEASE: Options = Options { lease: Duration::from_secs(30), ..PLAIN };

/// The checks, on any cache that fulfils the contract.
pub fn checks<S: ProtectedCache>() -> Vec<Check> {
    vec![
        Check::new(
            "hit_is_one_round_trip",
            "a hit costs one round trip and no load",
            hit_is_one_round_trip::<S>,
        ),
        Check::new(
            "one_load_in_process",
            "200 callers of a cold key in one process make one load",
            one_load_in_process::<S>,
        ),
        Check::new(
            "one_load_in_fleet",
            "200 callers of a cold key in two processes make one load",
            one_load_in_fleet::<S>,
        )
        .process(other_shop::<S>),
        Check::new(
            "redis_down",
            "with Redis down, the callers in one process still share one load",
            redis_down::<S>,
        ),
        Check::new(
            "redis_stalls",
            "a Redis that hangs delays a read and does not stop it",
            redis_stalls::<S>,
        ),
        Check::new(
            "cancelled_leader",
            "a leader that is cancelled or panics hangs nobody",
            cancelled_leader::<S>,
        ),
        Check::new(
            "killed_leader",
            "a leader whose process is killed hangs nobody",
            killed_leader::<S>,
        )
        .process(other_shop::<S>),
        Check::new(
            "failed_load",
            "a failed load is told to all who waited, and is not remembered",
            failed_load::<S>,
        ),
        Check::new(
            "write_during_load",
            "who comes after a write does not wait for a load that began before it",
            write_during_load::<S>,
        ),
        Check::new(
            "two_readers",
            "a late load is not stored under the next reader's lease",
            two_readers::<S>,
        ),
        Check::new(
            "write_during_refresh",
            "a refresh that began before a write does not put the old value back",
            write_during_refresh::<S>,
        ),
        Check::new(
            "failed_refresh",
            "a refresh that fails or panics is nobody's error, and the next reader's task",
            failed_refresh::<S>,
        ),
        Check::new(
            "invalidate_tells",
            "an invalidation that never reached Redis is not reported as done",
            invalidate_tells::<S>,
        ),
        Check::new(
            "stale_while_revalidate",
            "readers of a stale value get it at once, and one load refreshes it",
            stale_while_revalidate::<S>,
        ),
        Check::new("hard_end", "after ttl and stale, the old value is gone", hard_end::<S>),
        Check::new(
            "early_formula",
            "the share of readers that refresh early is exp(-remaining / (beta * load_took))",
            early_formula::<S>,
        ),
        Check::new(
            "early_refresh",
            "an eager cache refreshes before the end, and one with beta 0 does not",
            early_refresh::<S>,
        ),
    ]
    .into_iter()
    .map(|check| check.read(PAGE))
    .collect()
}

impl Scene {
    async fn protected<S: ProtectedCache>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Client<S>>, Finding> {
        self.client(lane, |url| S::open(url, options)).await
    }
}

type Answer = Result<Price, Error<OriginDown>>;

async fn get<S: ProtectedCache>(client: &Client<S>, key: &str) -> Answer {
    let answer = client.cache.get(key, client.load(key));
    client.call(format!("get({key})"), answer).await
}

/// Many callers at once. The timeline shows them in one line; what they ask Redis and the
/// database it shows in full.
struct Crowd {
    callers: Vec<JoinHandle<Answer>>,
    asked: String,
}

impl Crowd {
    fn gather<S: ProtectedCache>(size: usize, client: &Arc<Client<S>>, key: &str) -> Crowd {
        let asked = format!("{size} times get({key})");
        client.history.note(client.lane, &asked);
        let caller = || {
            let (client, key) = (Arc::clone(client), key.to_owned());
            async move { client.cache.get(&key, client.load(&key)).await }
        };
        Crowd { callers: (0..size).map(|_| tokio::spawn(caller())).collect(), asked }
    }

    /// All answers, if they come soon.
    async fn answers<S>(self, client: &Client<S>) -> Result<Vec<Answer>, Finding> {
        let total = self.callers.len();
        let mut answers = Vec::new();
        let deadline = tokio::time::Instant::now() + SOON;
        for caller in self.callers {
            match tokio::time::timeout_at(deadline, caller).await {
                Ok(answer) => answers.push(answer?),
                Err(_) => {
                    let expected = format!("{total} answers within {SOON:?}");
                    let saw = format!("after {} of them, a caller that hangs", answers.len());
                    let asked = client.history.last(client.lane, &self.asked);
                    return Err(Evidence::new(expected, saw).at(asked).into());
                }
            }
        }
        client.history.note(client.lane, format!("{total} answers"));
        Ok(answers)
    }

    /// All get `expected`, soon.
    async fn all_get<S>(self, client: &Client<S>, expected: Price) -> Result<(), Finding> {
        for answer in self.answers(client).await? {
            client.judge(answer, expected)?;
        }
        Ok(())
    }
}

/// Holds the first load and looks whether a second one comes to the gate as well.
async fn only_one_comes(scene: &Scene, gate: &Gate) -> Result<(), Finding> {
    if gate.arrived(2, WINDOW).await.is_err() {
        return Ok(());
    }
    // Let the rest come too, to say how many they are.
    let _ = gate.arrived(usize::MAX, Duration::from_millis(50)).await;
    Err(too_many(scene, scene.database.loads()))
}

fn too_many(scene: &Scene, loads: u64) -> Finding {
    let evidence = Evidence::new("one load for all callers", format!("{loads} loads"));
    evidence.at(scene.last("database", "load")).into()
}

async fn hit_is_one_round_trip<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.protected::<S>("reader", PLAIN).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    reader.proxy.reset_count();
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    if scene.database.loads() > 1 {
        let evidence = Evidence::new("the second read from the cache", "it was loaded again");
        return Err(evidence.at(scene.last("database", "load")).into());
    }
    let counts = reader.proxy.counts();
    if counts.round_trips != 1 {
        let commands: Vec<_> = counts.commands.keys().map(String::as_str).collect();
        let saw = format!("{}: {}", counts.round_trips, commands.join(", "));
        return Err(Evidence::new("one round trip", saw).at(reader.last_answer()).into());
    }
    Ok(())
}

async fn one_load_in_process<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    for scope in [Scope::Process, Scope::Fleet] {
        scene = Scene::set_anew(scene.world).await?;
        let shop = scene.protected::<S>("shop", Options { scope, ..LONG_LEASE }).await?;
        let gate = scene.database.hold_loads();
        let mut crowd = Crowd::gather(200, &shop, &scene.key);
        comes_to(&gate, &mut crowd.callers[0]).await?;
        only_one_comes(&scene, &gate).await?;
        gate.open();
        crowd.all_get(&shop, scene.old).await?;
        if scene.database.loads() != 1 {
            return Err(too_many(&scene, scene.database.loads()));
        }
    }
    Ok(())
}

/// What the second process is told.
#[derive(Serialize, Deserialize)]
struct OtherShop {
    url: String,
    key: String,
    price: Price,
    callers: usize,
    lease: Duration,
}

/// The second process: its own cache, its own callers. It says `load` when one of them loads, and
/// each load waits for `go on`; it says `answers` when all have been answered.
async fn other_shop<S: ProtectedCache>(mut child: Child) {
    let OtherShop { url, key, price, callers, lease } = child.arguments();
    let cache =
        Arc::new(S::open(&url, Options { lease, ..PLAIN }).expect("the parent's URL can be read"));
    Child::say("ready");
    child.hear().await;
    let gate = Gate::shut();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (cache, key, gate) = (Arc::clone(&cache), key.clone(), gate.clone());
            tokio::spawn(async move {
                let load = async move {
                    Child::say("load");
                    gate.pass().await;
                    Ok::<_, OriginDown>(price)
                };
                cache.get(&key, load).await
            })
        })
        .collect();
    tokio::spawn(async move {
        child.hear().await;
        gate.open();
    });
    for caller in callers {
        if !matches!(caller.await, Ok(Ok(answer)) if answer == price) {
            Child::say("a caller got no answer");
        }
    }
    Child::say("answers");
}

async fn one_load_in_fleet<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let here = scene.protected::<S>("shop A", LONG_LEASE).await?;
    let wire = scene.world.client("shop B").await?;
    let told = OtherShop {
        url: wire.url().to_owned(),
        key: scene.key.clone(),
        price: scene.old,
        callers: 100,
        lease: LONG_LEASE.lease,
    };
    let mut there = scene.world.process(&told)?;
    there.expect("ready", SOON).await?;

    let gate = scene.database.hold_loads();
    let crowd = Crowd::gather(100, &here, &scene.key);
    there.say("go").await;
    scene.world.history().note("shop B", format!("100 times get({})", scene.key));
    // All loads, here and there, are held; they have the window to show themselves.
    let mut loads_there = 0;
    let window = tokio::time::Instant::now() + WINDOW * 2;
    while let Some(line) = there.hear(window - tokio::time::Instant::now()).await? {
        scene.world.history().note("shop B", format!("{line} {}", scene.key));
        loads_there += u64::from(line == "load");
    }
    if wire.counts().requests == 0 {
        return Err(Finding::inconclusive("the second process never asked Redis"));
    }
    let loads = scene.database.loads() + loads_there;
    if loads != 1 {
        let saw = format!("{} in shop A and {loads_there} in shop B", scene.database.loads());
        let evidence = Evidence::new("one load in both processes together", saw);
        return Err(evidence
            .at(scene.last("database", "load"))
            .at(scene.last("shop B", "load "))
            .into());
    }
    gate.open();
    there.say("go on").await;
    crowd.all_get(&here, scene.old).await?;
    let line = there.expect("its callers' answers", SOON).await?;
    if line != "answers" || scene.database.loads() + loads_there != 1 {
        let saw = format!("{line}; {} loads", scene.database.loads() + loads_there);
        return Err(Evidence::new("answers for all, and no further load", saw).into());
    }
    Ok(())
}

async fn redis_down<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let shop = scene.protected::<S>("shop", LONG_LEASE).await?;
    let down = scene.world.fault("Redis is down");
    shop.proxy.refuse();
    let gate = scene.database.hold_loads();
    let mut crowd = Crowd::gather(50, &shop, &scene.key);
    comes_to(&gate, &mut crowd.callers[0]).await?;
    only_one_comes(&scene, &gate).await?;
    gate.open();
    crowd.all_get(&shop, scene.old).await?;
    scene.database.stop_holding();
    shop.proxy.accept().await?;
    drop(down);
    let expected = "hits again soon after Redis came back";
    shop.becomes_cached(expected, || get(&shop, &scene.key)).await
}

async fn cancelled_leader<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    for panics in [false, true] {
        scene = Scene::set_anew(scene.world).await?;
        let shop = scene.protected::<S>("shop", PLAIN).await?;
        let gate = scene.database.hold_loads();
        let mut leader = tokio::spawn({
            let (shop, key) = (Arc::clone(&shop), scene.key.clone());
            async move {
                let load = shop.load(&key);
                let load = async move {
                    let row = load.await;
                    assert!(!panics, "this load panics on purpose");
                    row
                };
                shop.cache.get(&key, load).await
            }
        });
        comes_to(&gate, &mut leader).await?;
        let crowd = Crowd::gather(20, &shop, &scene.key);
        // Time for the crowd to see that somebody loads, and to wait for it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        scene.database.stop_holding();
        let gone = match panics {
            false => {
                leader.abort();
                scene.world.fault("the leader is cancelled")
            }
            true => scene.world.fault("the leader's load panics"),
        };
        gate.open();
        let _ = leader.await;
        crowd.all_get(&shop, scene.old).await?;
        drop(gone);
        let expected = "hits again soon after the leader was lost";
        shop.becomes_cached(expected, || get(&shop, &scene.key)).await?;
    }
    Ok(())
}

async fn killed_leader<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let here = scene.protected::<S>("shop A", PLAIN).await?;
    let wire = scene.world.client("shop B").await?;
    let told = OtherShop {
        url: wire.url().to_owned(),
        key: scene.key.clone(),
        price: scene.old,
        callers: 1,
        lease: PLAIN.lease,
    };
    let mut there = scene.world.process(&told)?;
    there.expect("ready", SOON).await?;
    there.say("go").await;
    there.expect("a load", SOON).await?;
    scene.world.history().note("shop B", format!("load {}", scene.key));
    let crowd = Crowd::gather(20, &here, &scene.key);
    tokio::time::sleep(Duration::from_millis(50)).await;
    there.kill().await?;
    let _dead = scene.world.fault("shop B is killed with its load half done");
    crowd.all_get(&here, scene.old).await
}

async fn failed_load<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    // Longer than the window, and short enough that a lease left to its end is back soon.
    let options = Options { lease: SOON / 2, ..PLAIN };
    let shop = scene.protected::<S>("shop", options).await?;
    let down = scene.world.fault("the database is down");
    scene.database.fail(true);
    let gate = scene.database.hold_loads();
    let mut crowd = Crowd::gather(50, &shop, &scene.key);
    comes_to(&gate, &mut crowd.callers[0]).await?;
    only_one_comes(&scene, &gate).await?;
    gate.open();
    for answer in crowd.answers(&shop).await? {
        if !matches!(answer, Err(Error::Load(_))) {
            let evidence = Evidence::new("the load's error", format!("{answer:?}"));
            return Err(evidence.at(scene.last("database", "load")).into());
        }
    }
    if scene.database.loads() != 1 {
        return Err(too_many(&scene, scene.database.loads()));
    }
    scene.database.stop_holding();
    scene.database.fail(false);
    drop(down);
    shop.judge(get(&shop, &scene.key).await, scene.old)?;
    let expected = "hits again soon after the database came back";
    shop.becomes_cached(expected, || get(&shop, &scene.key)).await
}

async fn write_during_load<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    for scope in [Scope::Process, Scope::Fleet] {
        scene = Scene::set_anew(scene.world).await?;
        let options = Options { scope, ..PLAIN };
        let reader = scene.protected::<S>("reader", options).await?;
        let writer = scene.protected::<S>("writer", options).await?;

        let slow = scene.world.fault("the reader has read the old row, and its answer is slow");
        let gate = scene.database.hold_loads();
        let mut early = tokio::spawn({
            let (reader, key) = (Arc::clone(&reader), scene.key.clone());
            async move { get(&reader, &key).await }
        });
        comes_to(&gate, &mut early).await?;
        scene.database.stop_holding();
        scene.database.write(&scene.key, scene.new);
        let told = writer.call("invalidate", writer.cache.invalidate(&scene.key)).await;
        if let Err(error) = told {
            let evidence = Evidence::new("invalidate() to work", error.to_string());
            return Err(evidence.at(writer.last_answer()).into());
        }
        let acknowledged = writer.last_answer();
        // In the process whose load is under way, and is too old for it.
        let late = tokio::time::timeout(SOON, get(&reader, &scene.key)).await;
        gate.open();
        drop(slow);
        match late {
            Ok(answer) => reader.judge(answer, scene.new)?,
            Err(_) => {
                let expected = "an answer without the load that is older than the write";
                let saw = "the later reader waits for it";
                let asked = scene.last("reader", "get(");
                return Err(Evidence::new(expected, saw).at(acknowledged).at(asked).into());
            }
        }
        let _ = early.await?;
        for client in [&reader, &writer] {
            client.judge(get(client, &scene.key).await, scene.new)?;
        }
    }
    Ok(())
}

async fn stale_while_revalidate<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let ttl = Duration::from_millis(200);
    let options = Options { ttl, stale: Duration::from_secs(60), ..LONG_LEASE };
    let scene = Scene::set(world);
    let shop = scene.protected::<S>("shop", options).await?;
    let other = scene.protected::<S>("other shop", options).await?;
    shop.judge(get(&shop, &scene.key).await, scene.old)?;
    scene.database.write(&scene.key, scene.new);
    tokio::time::sleep(ttl * 3 / 2).await;

    let slow = scene.world.fault("the database is slow");
    let gate = scene.database.hold_loads();
    Crowd::gather(50, &shop, &scene.key).all_get(&shop, scene.old).await?;
    gate.arrived(1, SOON).await.map_err(|_| {
        let evidence = Evidence::new("one reader to begin a refresh", "nobody did");
        Finding::from(evidence.at(scene.last("shop", "answers")))
    })?;
    Crowd::gather(50, &other, &scene.key).all_get(&other, scene.old).await?;
    only_one_comes(&scene, &gate).await?;
    gate.open();
    scene.database.stop_holding();
    drop(slow);
    refreshed_soon(&scene, &shop).await
}

async fn two_readers<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let early = scene.protected::<S>("early", PLAIN).await?;
    let late = scene.protected::<S>("late", PLAIN).await?;
    let writer = scene.protected::<S>("writer", PLAIN).await?;

    let slow = scene.world.fault("the early reader has read the old row, and its answer is slow");
    let early_gate = scene.database.hold_loads();
    let mut early_get = start_get(&early, &scene.key);
    comes_to(&early_gate, &mut early_get).await?;
    change(&scene, &writer).await?;
    // The next reader misses, and is about to fill: whatever it left in Redis is not the early
    // reader's.
    let late_gate = scene.database.hold_loads();
    let mut late_get = start_get(&late, &scene.key);
    comes_to(&late_gate, &mut late_get).await?;
    scene.database.stop_holding();
    early_gate.open();
    let _ = early_get.await?;
    // It may wait for the late reader's load, but not for ever: that one is still held.
    let mut seen = start_get(&writer, &scene.key);
    let answered = tokio::time::timeout(WINDOW, &mut seen).await;
    late_gate.open();
    drop(slow);
    let answer = match answered {
        Ok(answer) => answer?,
        Err(_) => seen.await?,
    };
    writer.judge(answer, scene.new)?;
    late.judge(late_get.await?, scene.new)?;
    for client in [&writer, &early] {
        client.judge(get(client, &scene.key).await, scene.new)?;
    }
    Ok(())
}

/// Serves for an instant, and may then be served stale for as long as a check takes.
const STALE: Options =
    Options { ttl: Duration::from_millis(100), stale: Duration::from_secs(60), ..PLAIN };

async fn write_during_refresh<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.protected::<S>("reader", STALE).await?;
    let writer = scene.protected::<S>("writer", STALE).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    tokio::time::sleep(STALE.ttl * 3 / 2).await;

    let slow = scene.world.fault("the refresh has read the old row, and its answer is slow");
    let gate = scene.database.hold_loads();
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    gate.arrived(1, SOON).await.map_err(|_| {
        let evidence = Evidence::new("the reader of a stale value to begin a refresh", "none");
        Finding::from(evidence.at(reader.last_answer()))
    })?;
    scene.database.stop_holding();
    change(&scene, &writer).await?;
    writer.judge(get(&writer, &scene.key).await, scene.new)?;
    gate.open();
    drop(slow);
    // The refresh runs behind everybody's back: if it stores, it does so within these reads.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        reader.judge(get(&reader, &scene.key).await, scene.new)?;
    }
    Ok(())
}

async fn failed_refresh<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    for panics in [false, true] {
        scene = Scene::set_anew(scene.world).await?;
        let shop = scene.protected::<S>("shop", STALE).await?;
        shop.judge(get(&shop, &scene.key).await, scene.old)?;
        scene.database.write(&scene.key, scene.new);
        tokio::time::sleep(STALE.ttl * 3 / 2).await;

        let tried = Gate::shut();
        tried.open();
        let what = if panics { "the refresh panics" } else { "the database is down" };
        let fault = scene.world.fault(what);
        let load = {
            let tried = tried.clone();
            async move {
                tried.pass().await;
                assert!(!panics, "this load panics on purpose");
                Err::<Price, _>(OriginDown)
            }
        };
        let answer = shop.cache.get(&scene.key, load);
        let answer = shop.call(format!("get({})", scene.key), answer).await;
        shop.judge(answer, scene.old)?;
        tried.arrived(1, SOON).await.map_err(|_| {
            let evidence = Evidence::new("the reader of a stale value to begin a refresh", "none");
            Finding::from(evidence.at(shop.last_answer()))
        })?;
        drop(fault);
        refreshed_soon(&scene, &shop).await?;
    }
    Ok(())
}

async fn redis_stalls<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let options = Options { timeout: Duration::from_millis(100), ..PLAIN };
    // A read may meet the stall when it connects, when it asks, and when it fills.
    let patience = options.timeout * 10;
    let scene = Scene::set(world);
    let shop = scene.protected::<S>("shop", options).await?;
    shop.judge(get(&shop, &scene.key).await, scene.old)?;
    let stall = scene.world.fault("Redis hangs: connections stay open, nothing comes back");
    shop.proxy.stall();
    for _ in 0..2 {
        let Ok(answer) = tokio::time::timeout(patience, get(&shop, &scene.key)).await else {
            let expected = format!("the database's answer within {patience:?}");
            let evidence = Evidence::new(expected, "the reader still waits for Redis");
            return Err(evidence.at(scene.last("shop", "get(")).into());
        };
        shop.judge(answer, scene.old)?;
    }
    shop.proxy.resume();
    drop(stall);
    let expected = "hits again soon after Redis woke";
    shop.becomes_cached(expected, || get(&shop, &scene.key)).await
}

async fn invalidate_tells<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let hasty = Options { timeout: Duration::from_millis(100), ..PLAIN };
    let patience = hasty.timeout * 10;
    let scene = Scene::set(world);
    for hangs in [true, false] {
        let writer = scene.protected::<S>("writer", hasty).await?;
        writer.becomes_cached("hits", || get(&writer, &scene.key)).await?;
        let fault = match hangs {
            true => {
                writer.proxy.stall();
                scene.world.fault("Redis hangs: connections stay open, nothing comes back")
            }
            false => {
                writer.proxy.refuse();
                scene.world.fault("the writer cannot reach Redis")
            }
        };
        let told = writer.call("invalidate", writer.cache.invalidate(&scene.key));
        let told = tokio::time::timeout(patience, told).await;
        drop(fault);
        let saw = match told {
            Ok(Err(_)) => continue,
            Ok(Ok(())) => "Ok",
            Err(_) => "the writer still waits for Redis",
        };
        let expected = format!("an error within {patience:?}: Redis was never told");
        return Err(Evidence::new(expected, saw).at(writer.last_answer()).into());
    }
    Ok(())
}

async fn refreshed_soon<S: ProtectedCache>(scene: &Scene, shop: &Client<S>) -> Result<(), Finding> {
    for _ in 0..100 {
        if matches!(get(shop, &scene.key).await, Ok(price) if price == scene.new) {
            return Ok(());
        }
        tokio::time::sleep(SOON / 100).await;
    }
    let evidence = Evidence::new("the refreshed value soon", "the stale one, still");
    Err(evidence.at(shop.last_answer()).into())
}

fn start_get<S: ProtectedCache>(client: &Arc<Client<S>>, key: &str) -> JoinHandle<Answer> {
    let (client, key) = (Arc::clone(client), key.to_owned());
    tokio::spawn(async move { get(&client, &key).await })
}

/// The writer commits a new price and tells the cache.
async fn change<S: ProtectedCache>(scene: &Scene, writer: &Client<S>) -> Result<(), Finding> {
    scene.database.write(&scene.key, scene.new);
    let told = writer.call("invalidate", writer.cache.invalidate(&scene.key)).await;
    told.map_err(|error| {
        let expected = "invalidate() to work, for Redis is up";
        Evidence::new(expected, error.to_string()).at(writer.last_answer()).into()
    })
}

async fn hard_end<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let short = Duration::from_millis(150);
    for stale in [Duration::ZERO, short] {
        scene = Scene::set_anew(scene.world).await?;
        let shop = scene.protected::<S>("shop", Options { ttl: short, stale, ..PLAIN }).await?;
        shop.judge(get(&shop, &scene.key).await, scene.old)?;
        let mut look = scene.world.look().await?;
        for key in scene.entries().await? {
            if look.pttl::<_, i64>(&key).await? == -1 {
                let saw = format!("{key} lives in Redis for ever, whatever stands in it");
                let evidence = Evidence::new("a TTL on every key", saw);
                return Err(evidence.at(shop.last_answer()).into());
            }
        }
        scene.database.write(&scene.key, scene.new);
        tokio::time::sleep(short + stale + Duration::from_millis(100)).await;
        let passed = format!("(a ttl of {short:?} and {} ms more have passed)", stale.as_millis());
        scene.world.history().note("shop", passed);
        shop.judge(get(&shop, &scene.key).await, scene.new)?;
    }
    Ok(())
}

async fn early_formula<S: ProtectedCache>(_: World) -> Result<(), Finding> {
    const THROWS: u32 = 10_000;
    let took = Duration::from_millis(40);
    for beta in [0.5, 1.0, 3.0] {
        for head_starts in [0.1, 0.5, 1.0, 2.0, 5.0] {
            let remaining = took.mul_f64(beta * head_starts);
            let refreshed = (1..=THROWS)
                .map(|throw| f64::from(throw) / f64::from(THROWS))
                .filter(|dice| S::refresh_early(remaining, took, beta, *dice))
                .count();
            let share = refreshed as f64 / f64::from(THROWS);
            let expected = (-head_starts).exp();
            if (share - expected).abs() > 0.001 {
                let told = format!("{remaining:?} remain, the load took {took:?}, beta is {beta}");
                let expected = format!("{expected:.3} of the readers to refresh when {told}");
                return Err(Evidence::new(expected, format!("{share:.3} of them")).into());
            }
        }
    }
    if S::refresh_early(Duration::from_secs(1), took, 0.0, 0.5) {
        return Err(Evidence::new("no early refresh with beta 0", "one").into());
    }
    Ok(())
}

async fn early_refresh<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    const READS: usize = 60;
    let scene = Scene::set(world);
    // A load of 20 ms and this beta make a head start of 200 s on average, for an entry that
    // lives 60 s: three of four reads refresh. That sixty do not is no accident.
    scene.database.set_latency(Duration::from_millis(20));
    for (lane, beta) in [("calm", 0.0), ("eager", 10_000.0)] {
        let shop = scene.protected::<S>(lane, Options { beta, ..PLAIN }).await?;
        shop.judge(get(&shop, &scene.key).await, scene.old)?;
        let loads = scene.database.loads();
        for _ in 0..READS {
            shop.judge(get(&shop, &scene.key).await, scene.old)?;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let refreshed = scene.database.loads() > loads;
        if refreshed != (beta > 0.0) {
            let (expected, saw) = match refreshed {
                true => ("no early refresh with beta 0", "one"),
                false => ("an early refresh within 60 reads, each with a chance of 3 in 4", "none"),
            };
            return Err(Evidence::new(expected, saw).at(shop.last_answer()).into());
        }
    }
    Ok(())
}
