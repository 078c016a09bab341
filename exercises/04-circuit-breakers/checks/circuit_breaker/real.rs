//! A real Redis that hangs, and one that is down.

use super::scene::{HOUR, MOMENT, Scene};
use circuit_breakers::circuit_breaker::{CallError, CircuitBreaker, Judgement, State};
use grading::{Evidence, Finding, SOON, World};
use redis::RedisError;
use redis::aio::ConnectionManager;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The client's own patience, which has to be longer than that of the callers.
const CLIENT: Duration = Duration::from_secs(10);

/// A wrong command is an answer of a Redis that is well.
fn judge(result: &Result<i64, RedisError>) -> Judgement {
    match result {
        Ok(_) => Judgement::Success,
        Err(error) if error.code() == Some("WRONGTYPE") => Judgement::Ignored,
        Err(_) => Judgement::Failure,
    }
}

async fn incr(connection: &ConnectionManager, key: &str) -> Result<i64, RedisError> {
    redis::cmd("INCR").arg(key).query_async(&mut connection.clone()).await
}

fn told(result: &Result<i64, CallError<RedisError>>) -> String {
    match result {
        Ok(count) => format!("{count}"),
        Err(CallError::Open(_)) => "refused".to_owned(),
        Err(CallError::Call(error)) => error.to_string(),
    }
}

/// Calls until it is closed again.
async fn comes_back<S: CircuitBreaker>(
    scene: &Scene<S>,
    connection: &ConnectionManager,
) -> Result<(), Finding> {
    let (began, breaker) = (Instant::now(), scene.breaker());
    while breaker.state() != State::Closed {
        if began.elapsed() > SOON {
            return Err(scene.saw("closed, for Redis is back", format!("{:?}", breaker.state())));
        }
        let call = scene.world.invoke("caller", "INCR orders");
        let result = breaker.call(judge, incr(connection, "orders")).await;
        call.ok(told(&result));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

pub(super) async fn redis_hangs<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    const REFUSED: i64 = 50;
    let scene = Scene::<S>::set(world, 5 * MOMENT, MOMENT);
    let proxy = scene.world.client("wire").await?;
    let connection = connection::open(proxy.url(), CLIENT)?;
    let breaker = scene.breaker();
    let result = breaker.call(judge, incr(&connection, "orders")).await;
    if !matches!(result, Ok(1)) {
        return Err(scene.saw("1, from a Redis that is well", told(&result)));
    }

    let fault = scene.world.fault("Redis hangs");
    proxy.stall();
    let mut callers = JoinSet::new();
    for _ in 0..scene.config.failures {
        let (breaker, connection) = (scene.breaker(), connection.clone());
        let call = scene.world.invoke("caller", "INCR orders");
        callers.spawn(async move {
            // Patience begins when the call has, and is longer than `slow_after`, as it has to be.
            let patience = async { tokio::time::sleep(2 * MOMENT).await };
            tokio::select! {
                biased;
                result = breaker.call(judge, incr(&connection, "orders")) => Err(told(&result)),
                () = patience => {
                    call.unknown("gives up");
                    Ok(())
                }
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        if let Err(saw) = ended? {
            return Err(scene.saw("no answer from a Redis that hangs", saw));
        }
    }
    scene.is(State::Open, "so many have waited in vain")?;

    // Whoever comes now is refused, or is a probe: the machine may be slow, and a moment over.
    let mut let_in = 0;
    for _ in 0..REFUSED {
        let calling = breaker.call(judge, incr(&connection, "orders"));
        match tokio::time::timeout(2 * MOMENT, calling).await {
            Ok(Err(CallError::Open(_))) => {}
            Ok(result) => return Err(scene.saw("refused", told(&result))),
            Err(_) => let_in += 1,
        }
    }
    // The callers of before, and one probe for each time that it was open for, at the very most.
    proxy.resume();
    drop(fault);
    comes_back(&scene, &connection).await?;
    let reached: i64 =
        redis::cmd("GET").arg("orders").query_async(&mut scene.world.look().await?).await?;
    let healed = i64::from(scene.config.probes);
    let most = 1 + i64::from(scene.config.failures) + let_in + healed;
    if let_in > REFUSED / 2 {
        let saw = format!("{let_in} of {REFUSED} were let in");
        return Err(scene.saw("hardly anybody waits for a Redis that hangs", saw));
    }
    if reached > most {
        let expected = format!("at most {most} commands at Redis");
        return Err(Evidence::new(expected, format!("{reached}")).into());
    }
    Ok(())
}

pub(super) async fn redis_is_down<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    let proxy = scene.world.client("wire").await?;
    let connection = connection::open(proxy.url(), CLIENT)?;
    let breaker: Arc<S> = scene.breaker();
    let list: Result<i64, RedisError> =
        redis::cmd("RPUSH").arg("list").arg("a").query_async(&mut scene.world.look().await?).await;
    list?;
    for _ in 0..3 * scene.config.failures {
        let result = breaker.call(judge, incr(&connection, "list")).await;
        match &result {
            Err(CallError::Call(error)) if judge(&Err(error.clone())) == Judgement::Ignored => {}
            _ => return Err(scene.saw("WRONGTYPE, from a Redis that is well", told(&result))),
        }
    }
    scene.is(State::Closed, "the command was wrong, and Redis is well")?;

    let fault = scene.world.fault("Redis is down");
    proxy.refuse();
    for _ in 0..scene.config.failures {
        let call = scene.world.invoke("caller", "INCR orders");
        let result = breaker.call(judge, incr(&connection, "orders")).await;
        let step = call.fail(told(&result));
        if !matches!(result, Err(CallError::Call(_))) {
            let expected = "an error of the connection: it is not open yet";
            return Err(Evidence::new(expected, told(&result)).at(step).into());
        }
    }
    scene.is(State::Open, "so many failures in a row")?;
    proxy.accept().await?;
    drop(fault);
    comes_back(&scene, &connection).await
}
