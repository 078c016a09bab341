//! The same against a real Redis, which is out of reach, or has done it and cannot say so.

use super::scene::{GENEROUS, plural};
use circuit_breakers::retry::{Budget, Config, Outcome, Repeatable, Retry};
use grading::{Evidence, Finding, SOON, World};
use rand::RngExt;
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisError, RedisResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testbed::proxy::Proxy;

/// Real time passes here, so the pauses are short.
const SHORT: Config = Config {
    attempts: 3,
    first: Duration::from_millis(2),
    longest: Duration::from_millis(20),
    budget: GENEROUS,
    transient: |_| true,
};

/// A connection that fails fast, to a Redis that this machine runs.
fn open(proxy: &Proxy) -> Result<ConnectionManager, Finding> {
    Ok(connection::open(proxy.url(), Duration::from_secs(2))?)
}

/// What came of a command: any error may be over a moment later.
fn outcome<T>(answer: RedisResult<T>) -> Outcome<RedisResult<T>> {
    match answer {
        Ok(_) => Outcome::Final(answer),
        Err(_) => Outcome::Failed(answer),
    }
}

pub(super) async fn lost_reply_is_repeated<S: Retry>(world: World) -> Result<(), Finding> {
    let proxy = world.client("client").await?;
    let connection = open(&proxy)?;
    let mut look = world.look().await?;
    let retry = S::new(SHORT, world.random().random());
    for (key, price) in [("price:1", 11), ("price:2", 22), ("price:3", 33)] {
        world.history().turn_page();
        proxy.reset_count();
        proxy.clear_rules();
        let lost = proxy.cut_reply(|request| request.is("SET"));
        let call = world.invoke("client", format!("set({key}, {price})"));
        let set = {
            let connection = connection.clone();
            move |_| {
                let mut connection = connection.clone();
                async move { outcome(connection.set::<_, _, ()>(key, price).await) }
            }
        };
        let answer = retry.call(Repeatable::Yes, None, set).await;
        let step = call.end_with(&answer);
        if lost.count() == 0 {
            return Err(Finding::inconclusive("no reply was lost"));
        }
        if let Err(error) = answer {
            let saw = format!("an error: {error}");
            return Err(Evidence::new("the answer of the second SET", saw).at(step).into());
        }
        let sent = proxy.counts().commands.get("SET").copied().unwrap_or_default();
        if sent != 2 {
            return Err(Evidence::new("2 SETs", sent.to_string()).at(step).into());
        }
        let stored: Option<u32> = look.get(key).await?;
        if stored != Some(price) {
            let evidence = Evidence::new(format!("{price} in Redis"), format!("{stored:?}"));
            return Err(evidence.at(step).into());
        }
    }
    Ok(())
}

pub(super) async fn increment_once<S: Retry>(world: World) -> Result<(), Finding> {
    let proxy = world.client("client").await?;
    let connection = open(&proxy)?;
    let mut look = world.look().await?;
    let retry = S::new(SHORT, world.random().random());
    // Something that goes well first, so that there is a connection to lose.
    let mut warm = connection.clone();
    let () = warm.set("sold", 0).await?;
    let lost = proxy.cut_reply(|request| request.mentions("sold"));
    let call = world.invoke("client", "incr(sold)");
    let increment = move |_| {
        let mut connection = connection.clone();
        async move { outcome(connection.incr::<_, _, u32>("sold", 1).await) }
    };
    let answer = retry.call(Repeatable::No, None, increment).await;
    let step = call.end_with(&answer);
    if lost.count() == 0 {
        return Err(Finding::inconclusive("no reply was lost"));
    }
    let sold: u32 = look.get("sold").await?;
    if sold != 1 {
        let expected = "1 sold: the first INCR was carried out, only its reply was lost";
        return Err(Evidence::new(expected, sold.to_string()).at(step).into());
    }
    match answer {
        Err(error) if error.is_io_error() || error.is_connection_dropped() => Ok(()),
        Err(error) => {
            let expected = "the error of the connection, as it was";
            Err(Evidence::new(expected, error.to_string()).at(step).into())
        }
        Ok(value) => {
            let expected = "an error: nobody has seen the reply";
            Err(Evidence::new(expected, value.to_string()).at(step).into())
        }
    }
}

pub(super) async fn redis_out_of_reach<S: Retry>(world: World) -> Result<(), Finding> {
    const CALLS: usize = 60;
    let proxy = world.client("client").await?;
    let connection = open(&proxy)?;
    let config = Config { budget: Budget { percent: 10, reserve: 10 }, ..SHORT };
    let retry = S::new(config, world.random().random());
    let attempts = Arc::new(AtomicUsize::new(0));
    let ping = async || -> Result<(), RedisError> {
        let (connection, attempts) = (connection.clone(), Arc::clone(&attempts));
        let ping = move |_| {
            attempts.fetch_add(1, Ordering::SeqCst);
            let mut connection = connection.clone();
            async move { outcome(connection.ping::<()>().await) }
        };
        retry.call(Repeatable::Yes, None, ping).await
    };

    world.redis().kill().await?;
    let down = world.fault("Redis was killed");
    for _ in 0..CALLS {
        if ping().await.is_ok() {
            return Err(Finding::inconclusive("a killed Redis answered"));
        }
    }
    let asked = attempts.load(Ordering::SeqCst);
    let over = world.history().note("client", format!("{CALLS} calls failed"));
    if asked > CALLS + CALLS / 10 {
        let expected = format!("at most {} attempts for {CALLS} calls", CALLS + CALLS / 10);
        return Err(Evidence::new(expected, asked.to_string()).at(over).into());
    }
    if asked == CALLS {
        return Err(Evidence::new("some of them repeated", "none").at(over).into());
    }
    world.redis().restart().await?;
    drop(down);

    let back = Instant::now();
    let mut well = 0;
    while well < 20 {
        match ping().await {
            Ok(()) => well += 1,
            Err(error) if back.elapsed() > SOON => {
                let saw = format!("{error}, {SOON:?} after it came back");
                return Err(Evidence::new("Redis to be asked again", saw).into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    // Twenty calls that went well have earned two.
    let lost = proxy.cut_request(|request| request.is("PING"));
    attempts.store(0, Ordering::SeqCst);
    let call = world.invoke("client", "ping()");
    let answer = ping().await;
    let step = call.end_with(&answer);
    if lost.count() == 0 {
        return Err(Finding::inconclusive("no request was lost"));
    }
    match (answer, attempts.load(Ordering::SeqCst)) {
        (Ok(()), _) => Ok(()),
        (Err(error), asked) => {
            let saw = format!("{error} after {}", plural(asked, "attempt"));
            Err(Evidence::new("the answer of a second PING", saw).at(step).into())
        }
    }
}
