//! What the caller gets.

use super::scene::{Broken, Ended, Reply, get, play, request};
use circuit_breakers::retry::{Config, Retry};
use grading::{Finding, World};
use http::Method;
use rand::RngExt;
use std::time::Duration;

pub(super) async fn answered_at_once<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        for method in [Method::GET, Method::POST] {
            let ended = client.sends(request(method)).await?;
            ended.times(1, "it succeeded")?;
            ended.status(200)?;
            took(&ended, Duration::ZERO)?;
        }
        let counts = client.retry.counts();
        match (counts.offered, counts.retried, counts.denied) {
            (2, 0, 0) => Ok(()),
            _ => {
                let ended = client.sends(get()).await?;
                Err(ended.not("2 calls counted, and no retry", format!("{counts:?}")))
            }
        }
    })
    .await
}

fn took(ended: &Ended, time: Duration) -> Result<(), Finding> {
    match ended.took {
        took if took == time => Ok(()),
        took => Err(ended.not(format!("an answer after {time:?}"), format!("after {took:?}"))),
    }
}

pub(super) async fn success_is_returned<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        let failures =
            [Reply::Status(502), Reply::Status(503), Reply::Status(504), Reply::Broken(1)];
        for failure in failures {
            client.shop.turn_page();
            client.shop.says([failure.clone()]);
            let ended = client.sends(get()).await?;
            ended.times(2, "the second succeeded")?;
            ended.status(200)?;
            client.shop.says([failure, Reply::Status(503), Reply::Status(201)]);
            let ended = client.sends(get()).await?;
            ended.times(3, "the third succeeded")?;
            ended.status(201)?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn attempts_are_counted<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for said in [3, stage.random.random_range(4..8), 2, 1, 0] {
            stage.history.turn_page();
            let config = Config { attempts: said, ..stage.config() };
            let client = stage.client::<S>(config);
            client.shop.always(Reply::Status(503));
            let ended = client.sends(get()).await?;
            ended.times(said.max(1) as usize, "as many as were said")?;
            let afterwards = ended.afterwards();
            if !afterwards.is_zero() {
                let expected = "the last answer at once";
                return Err(ended.not(expected, format!("{afterwards:?} later")));
            }
            let counts = client.retry.counts();
            let retried = u64::from(said.max(1)) - 1;
            if (counts.offered, counts.retried, counts.denied) != (1, retried, 0) {
                let expected = format!("1 call counted, and {retried} retries");
                return Err(ended.not(expected, format!("{counts:?}")));
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn last_as_it_was<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        client.shop.says([Reply::Broken(1), Reply::Status(502), Reply::Status(504)]);
        let ended = client.sends(get()).await?;
        ended.status(504)?;
        let whole = ended.answer.as_ref().is_ok_and(|answer| answer.body() == "the shop says 504");
        if !whole {
            return Err(ended.not("the last answer with its body", "another body"));
        }
        client.shop.says([Reply::Status(503), Reply::Broken(2), Reply::Broken(3)]);
        let ended = client.sends(get()).await?;
        match &ended.answer {
            Err(error) if error.downcast_ref() == Some(&Broken(3)) => Ok(()),
            Err(error) => {
                let expected = "the error of the third attempt, which downcast_ref finds";
                Err(ended.not(expected, format!("another one: {error}")))
            }
            Ok(answer) => Err(ended.not("an error", answer.status().to_string())),
        }
    })
    .await
}
