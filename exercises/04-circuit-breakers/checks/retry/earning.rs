//! What earns retries, and how many are saved.

use super::scene::{Client, FOREVER, Reply, get, play, request};
use circuit_breakers::retry::{ATTEMPT, Budget, Config, Retry};
use grading::{Evidence, Finding, World};
use http::{HeaderValue, Method};
use rand::RngExt;
use std::time::Duration;
use tokio::time::{sleep, timeout};

pub(super) async fn earned_again<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let reserve = stage.random.random_range(4..8);
        let budget = Budget { percent: 10, reserve };
        let config = Config { budget, ..stage.config() };
        let client = stage.client::<S>(config);
        client.shop.always(Reply::Status(503));
        for _ in 0..30 {
            client.sends(get()).await?;
        }
        client.shop.says([]);
        for _ in 0..20 {
            client.sends(get()).await?;
        }
        client.shop.turn_page();
        client.shop.note("shop", "was down for 30 calls, and well for 20");
        client.shop.says([Reply::Status(503)]);
        let ended = client.sends(get()).await?;
        ended.times(2, "20 calls earn two retries")?;

        client.shop.says([]);
        for _ in 0..1_000 {
            client.sends(get()).await?;
        }
        client.shop.always(Reply::Status(503));
        let (mut retries, mut last) = (0, ended);
        for _ in 0..50 {
            last = client.sends(get()).await?;
            retries += last.asked.len() - 1;
        }
        // Fifty calls earn five more.
        let (least, most) = (reserve as usize, reserve as usize + 5);
        if !(least..=most).contains(&retries) {
            let expected = format!("{least} retries from the reserve, and 5 more are earned");
            return Err(last.not(expected, retries.to_string()));
        }

        // Each call earns, whatever it is and whatever becomes of it.
        let client = stage.client::<S>(config);
        client.shop.turn_page();
        client.shop.always(Reply::Status(503));
        for _ in 0..10 {
            client.sends(request(Method::POST)).await?;
        }
        client.shop.says([Reply::Status(503)]);
        client.sends(get()).await?.times(2, "10 POSTs that failed have earned a retry")
    })
    .await
}

pub(super) async fn each_call_earns<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let budget = Budget { percent: 10, reserve: 10 };
        let config = Config { budget, ..stage.config() };

        let client = stage.client::<S>(config);
        client.shop.always(Reply::Hangs);
        for _ in 0..10 {
            if timeout(Duration::from_secs(1), client.send(get())).await.is_ok() {
                return Err(Finding::inconclusive("the call was over before its caller left"));
            }
        }
        earned(&client, "10 callers have left before there was an answer").await?;

        let client = stage.client::<S>(config);
        for _ in 0..10 {
            let mut second = get();
            second.headers_mut().insert(ATTEMPT, HeaderValue::from_static("2"));
            client.sends(second).await?;
        }
        earned(&client, "10 calls that somebody above repeats").await?;

        // Shares of 30 do not make a hundred, and no more than a hundred is saved.
        let budget = Budget { percent: 30, reserve: 1 };
        let client = stage.client::<S>(Config { budget, ..config });
        for _ in 0..10 {
            client.sends(get()).await?;
        }
        earned(&client, "10 calls have earned 3 retries, of which 1 is saved").await
    })
    .await
}

/// Ten calls have been made: is there a retry?
async fn earned<S: Retry>(client: &Client<S>, what: &str) -> Result<(), Finding> {
    client.shop.turn_page();
    let step = client.shop.note("client", what);
    client.shop.says([Reply::Status(503)]);
    let ended = client.sends(get()).await?;
    ended.times(2, "10 calls have earned a retry, whatever became of them")?;
    match client.retry.counts().offered {
        11 => Ok(()),
        other => Err(Evidence::new("11 calls counted", other.to_string()).at(step).into()),
    }
}

pub(super) async fn calls_alone_earn<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let budget = Budget { percent: 10, reserve: 10 };
        let config = Config { budget, ..stage.config() };
        let [well, down] = [(); 2].map(|()| stage.client::<S>(config));
        for _ in 0..100 {
            well.sends(get()).await?;
        }
        stage.history.turn_page();
        down.shop.note("client", "has made 100 calls to another dependency, which is well");
        down.shop.says([Reply::Status(503)]);
        down.sends(get()).await?.times(1, "here it has earned nothing yet")?;

        stage.history.turn_page();
        sleep(FOREVER).await;
        down.shop.note("client", "has not called for a day");
        down.shop.says([Reply::Status(503)]);
        down.sends(get()).await?.times(1, "time earns nothing")?;

        stage.history.turn_page();
        well.shop.note("client", "has earned 10 retries, a day ago");
        well.shop.says([Reply::Status(503)]);
        well.sends(get()).await?.times(2, "what is earned is kept until it is spent")
    })
    .await
}
