//! What the caller gets.

use super::scene::{Broken, Ended, Reply, SHELVES, Served, get, play, request, text};
use circuit_breakers::retry::{Config, Retry};
use grading::{Finding, World};
use http::{Method, Version};
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
        let many = stage.random.random_range(4..8);
        let said = [3, many, 2, 1, 0].map(|said| (said, Reply::Status(503)));
        let told = [3, many, 1].map(|said| (said, Reply::Later(503, "1")));
        for (said, reply) in said.into_iter().chain(told) {
            stage.history.turn_page();
            let config = Config { attempts: said, ..stage.config() };
            let client = stage.client::<S>(config);
            client.shop.always(reply.clone());
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

/// Whether the caller got what the shop said, with all that belongs to it.
fn as_it_was(ended: &Ended, status: u16, after: Option<&str>) -> Result<(), Finding> {
    ended.status(status)?;
    let Ok(answer) = &ended.answer else {
        return Ok(());
    };
    let headers = answer.headers();
    for (whole, what) in [
        (answer.body() == &format!("the shop says {status}"), "its body"),
        (text(headers, "retry-after") == after, "its `Retry-After`"),
        (headers.get_all("shelf").iter().eq(SHELVES), "its headers, in both lines"),
        (headers.len() == SHELVES.len() + usize::from(after.is_some()), "no other headers"),
        (answer.version() == Version::HTTP_2, "its version"),
        (answer.extensions().get() == Some(&Served(status)), "its extensions"),
    ] {
        if !whole {
            let expected = format!("the last answer with {what}");
            return Err(ended.not(expected, format!("{headers:?}, {}", answer.body())));
        }
    }
    Ok(())
}

pub(super) async fn last_as_it_was<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        client.shop.says([Reply::Broken(1), Reply::Status(502), Reply::Status(504)]);
        let ended = client.sends(get()).await?;
        as_it_was(&ended, 504, None)?;
        // Whether or not it was repeated, and whether or not it was well.
        let later = [Reply::Later(503, "1"), Reply::Later(502, "1"), Reply::Later(429, "2")];
        let cases = [
            (get(), vec![], 200, None),
            (get(), vec![Reply::Status(404)], 404, None),
            (get(), vec![Reply::Status(502), Reply::Status(201)], 201, None),
            (get(), later.to_vec(), 429, Some("2")),
            (get(), vec![Reply::Later(503, "3600")], 503, Some("3600")),
            (request(Method::POST), vec![Reply::Later(503, "1")], 503, Some("1")),
        ];
        for (request, replies, status, after) in cases {
            client.shop.turn_page();
            client.shop.says(replies);
            as_it_was(&client.sends(request).await?, status, after)?;
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
