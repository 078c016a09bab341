//! Redis forgets its scripts, loses a connection, refuses, hangs, and comes back.

use crate::scene::{Client, brief, key, open, patient, slow};
use grading::{Evidence, Finding, World};
use rate_limiting::limiter::{By, Limiter, Options, Outage};
use std::time::{Duration, Instant};

pub(crate) async fn forgotten_scripts<S: Limiter>(world: World) -> Result<(), Finding> {
    let key = key(&mut world.random());
    let client = Client::<S>::new(&world, "client", slow(4), patient()).await?;
    for left in (0..4).rev() {
        let decision = client.must(&key, 1, true, "one unit a time is spent").await?;
        if decision.remaining != left {
            return Err(client.broken(format!("{left} left"), &decision));
        }
        world.redis().script_flush().await?;
        world.history().note("client", "(SCRIPT FLUSH: Redis knows no scripts any more)");
    }
    client.must(&key, 1, false, "all four are spent").await?;
    Ok(())
}

pub(crate) async fn broken_connection<S: Limiter>(world: World) -> Result<(), Finding> {
    const BURST: u32 = 12;
    let key = key(&mut world.random());
    let client = Client::<S>::new(&world, "client", slow(BURST), patient()).await?;
    let (mut known, mut asked) = (0, 0);
    let broken = |fault: usize| match fault {
        0 => client.proxy.kill_connections(),
        1 => drop(client.proxy.cut_request(|_| true)),
        _ => drop(client.proxy.cut_reply(|_| true)),
    };
    client.must(&key, 1, true, "the burst was not touched").await?;
    for fault in 0..3 {
        world.history().note("client", "(the connection breaks)");
        broken(fault);
        for _ in 0..2 {
            let decision = client.decide(&key, 1).await;
            asked += 1;
            known += u32::from(decision.by == By::State && decision.allowed);
        }
        let look = client.comes_back(&key, "a connection broke").await?;
        // Each break may have hit a decision that was made, and was then made again.
        let (most, least) = (BURST - 1 - known, BURST - 1 - asked - (fault as u32 + 1));
        if look.remaining > most {
            let expected = format!("{most} left at most: {} were allowed", known + 1);
            return Err(client.broken(expected, &look));
        }
        if look.remaining < least {
            let expected = format!("{least} left at least: {} were asked for", asked + 1);
            return Err(client.broken(expected, &look));
        }
    }
    Ok(())
}

pub(crate) async fn outage_open<S: Limiter>(world: World) -> Result<(), Finding> {
    outage::<S>(world, Outage::Open).await
}

pub(crate) async fn outage_closed<S: Limiter>(world: World) -> Result<(), Finding> {
    outage::<S>(world, Outage::Closed).await
}

async fn outage<S: Limiter>(world: World, outage: Outage) -> Result<(), Finding> {
    let key = key(&mut world.random());
    let options = Options { timeout: Duration::from_millis(80), outage, ..patient() };
    for hangs in [false, true] {
        world.history().turn_page();
        let client = Client::<S>::new(&world, "client", slow(50), options.clone()).await?;
        client.comes_back(&key, "the start").await?;
        let gone = match hangs {
            true => {
                client.proxy.stall();
                world.fault("Redis hangs: connections stay open, nothing comes back")
            }
            false => {
                client.proxy.refuse();
                world.fault("Redis is down")
            }
        };
        for _ in 0..2 {
            in_time(&world, &client, &key, &options).await?;
        }
        match hangs {
            true => client.proxy.resume(),
            false => client.proxy.accept().await?,
        }
        drop(gone);
        client.comes_back(&key, "Redis came back").await?;
    }
    // A program that starts while Redis is down must start.
    let proxy = world.client("newcomer").await?;
    proxy.refuse();
    let limiter = open::<S>(proxy.url(), slow(50), options.clone())?;
    let decision = limiter.decide(&key, 1).await;
    if decision.by != By::Outage || decision.allowed != (outage == Outage::Open) {
        return Err(Evidence::new(expected(outage), brief(&decision)).into());
    }
    Ok(())
}

fn expected(outage: Outage) -> &'static str {
    match outage {
        Outage::Open => "allowed, by outage: the limiter is open without Redis",
        Outage::Closed => "refused, by outage: the limiter is closed without Redis",
    }
}

async fn in_time<S: Limiter>(
    world: &World,
    client: &Client<S>,
    key: &str,
    options: &Options,
) -> Result<(), Finding> {
    // Twice the timeout is promised. A busy machine may be late, by no more than this.
    let patience = options.timeout * 2 + Duration::from_millis(500);
    let began = Instant::now();
    let Ok(decision) = tokio::time::timeout(patience, client.decide(key, 1)).await else {
        let expected = format!("an answer within {:?}", options.timeout * 2);
        let evidence = Evidence::new(expected, format!("none after {:?}", began.elapsed()));
        return Err(evidence.at(world.history().last("client", "decide")).into());
    };
    if decision.by == By::Outage && decision.allowed == (options.outage == Outage::Open) {
        return Ok(());
    }
    Err(client.broken(expected(options.outage), &decision))
}
