//! How many retries there are in all.

use super::scene::{Broken, Client, Reply, get, play, plural, request};
use circuit_breakers::retry::{Budget, Config, Counts, Retry};
use circuit_breakers::timeouts::Deadline;
use grading::{Evidence, Finding, SOON, World};
use http::Method;
use rand::RngExt;
use std::time::Duration;
use testbed::gate::Gate;
use tokio::task::JoinHandle;

pub(super) async fn budget_in_an_outage<S: Retry>(world: World) -> Result<(), Finding> {
    const CALLS: usize = 1_000;
    play(world, async |mut stage| {
        for percent in [10, stage.random.random_range(5..40), 70, 150] {
            stage.history.turn_page();
            let budget = Budget { percent, reserve: 10 };
            let config = Config { budget, ..stage.config() };
            let client = stage.client::<S>(config);
            client.shop.always(Reply::Status(503));
            let (mut asked, mut denied) = (0, 0);
            for call in 1..=CALLS {
                let ended = client.sends(get()).await?;
                asked += ended.asked.len();
                denied += u64::from(ended.asked.len() < 3);
                let earned = call * percent as usize / 100;
                if asked > call + earned {
                    let (most, calls) = (plural(call + earned, "attempt"), plural(call, "call"));
                    let expected = format!("at most {most} for {calls}, all of which failed");
                    return Err(ended.not(expected, plural(asked, "attempt")));
                }
                if call < CALLS {
                    continue;
                }
                // What is never spent is no budget either. In binary a sum of tenths is a little less.
                if asked - call + 1 < earned {
                    let expected = format!("{earned} retries for {CALLS} calls, at {percent} %");
                    return Err(ended.not(expected, (asked - call).to_string()));
                }
                let counts = client.retry.counts();
                let retried = (asked - call) as u64;
                if (counts.offered, counts.retried, counts.denied) != (1_000, retried, denied) {
                    let expected = format!("1000 offered, {retried} retried, {denied} denied");
                    return Err(ended.not(expected, format!("{counts:?}")));
                }
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn one_budget_for_all<S: Retry>(world: World) -> Result<(), Finding> {
    const CALLERS: usize = 100;
    play(world, async |mut stage| {
        let budget = Budget { percent: 10, reserve: 10 };
        let config = Config { budget, ..stage.config() };
        let client = stage.client::<S>(config);
        // The last to come opens the gate: all of them fail at that moment, and none before.
        let gate = Gate::barrier(CALLERS);
        client.shop.says(vec![Reply::Held(503, gate.clone()); CALLERS]);
        let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(client.send(get()))).collect();
        if let Err(nobody) = gate.arrived(CALLERS, SOON).await {
            for caller in callers.into_iter().filter(JoinHandle::is_finished) {
                let _ = caller.await?;
            }
            return Err(nobody.into());
        }
        let failed = client.shop.note("client", "all 100 fail at the same moment");
        client.shop.always(Reply::Status(503));
        for caller in callers {
            let _ = caller.await?;
        }
        let retries = client.shop.asked() - CALLERS;
        match retries {
            0 => Err(Evidence::new("10 retries for 100 calls", "none").at(failed).into()),
            1..=10 => Ok(()),
            _ => {
                let saw = plural(retries, "retry").replace("retrys", "retries");
                Err(Evidence::new("at most 10 retries for 100 calls", saw).at(failed).into())
            }
        }
    })
    .await
}

pub(super) async fn spent_on_repeats_only<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let budget = Budget { percent: 10, reserve: 1 };
        let config = Config { budget, ..stage.config() };
        let client = stage.client::<S>(config);
        let late = || {
            let mut request = get();
            request.extensions_mut().insert(Deadline::in_time(Duration::from_secs(2)));
            request
        };
        let cases = [
            ("a POST that fails", request(Method::POST), Reply::Status(503)),
            ("a 404", get(), Reply::Status(404)),
            ("a wait that is too long", get(), Reply::Later(503, "3600")),
            ("a wait past the deadline", late(), Reply::Later(503, "5")),
        ];
        for (what, request, reply) in cases {
            for _ in 0..20 {
                client.sends(get()).await?;
            }
            client.shop.turn_page();
            client.shop.note("client", "has earned one retry");
            client.shop.says([reply]);
            let ended = client.sends(request).await?;
            ended.times(1, what)?;
            client.shop.says([Reply::Status(503)]);
            let ended = client.sends(get()).await?;
            ended.times(2, &format!("{what} has spent nothing"))?;
        }
        // Two attempts are one repeat.
        let budget = Budget { percent: 10, reserve: 2 };
        let client = stage.client::<S>(Config { attempts: 2, budget, ..config });
        for _ in 0..20 {
            client.sends(get()).await?;
        }
        client.shop.turn_page();
        client.shop.note("client", "has earned two retries");
        client.shop.says([Reply::Status(503), Reply::Status(503)]);
        client.sends(get()).await?.times(2, "the second failed as well")?;
        client.shop.says([Reply::Status(503)]);
        client.sends(get()).await?.times(2, "the call before has made one repeat, and spent one")
    })
    .await
}

fn denied<S: Retry>(client: &Client<S>, offered: u64, denied: u64) -> Result<(), Finding> {
    let (counts, expected) = (client.retry.counts(), Counts { offered, retried: 0, denied });
    match counts == expected {
        true => Ok(()),
        false => {
            let step = client.shop.note("client", format!("{offered} calls are over"));
            let expected = format!("{denied} of {offered} calls denied a retry");
            Err(Evidence::new(expected, format!("{counts:?}")).at(step).into())
        }
    }
}

pub(super) async fn denied_at_once<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for budget in [Budget { percent: 0, reserve: 10 }, Budget { percent: 500, reserve: 0 }] {
            stage.history.turn_page();
            let config = Config { budget, ..stage.config() };
            let client = stage.client::<S>(config);
            for reply in [Reply::Status(503), Reply::Broken(1), Reply::Later(429, "2")] {
                client.shop.always(reply);
                let ended = client.sends(get()).await?;
                ended.times(1, "there is no budget")?;
                if !ended.took.is_zero() {
                    return Err(ended.not("the answer at once", format!("{:?} later", ended.took)));
                }
                let answer = ended.answer.as_ref();
                let whole = match answer {
                    Ok(answer) => answer.body().starts_with("the shop says"),
                    Err(error) => error.is::<Broken>(),
                };
                if !whole {
                    return Err(ended.not("the answer of the shop", format!("{answer:?}")));
                }
            }
            denied(&client, 3, 3)?;
            // What would not be repeated anyway was denied nothing.
            for (request, reply) in [
                (request(Method::POST), Reply::Status(503)),
                (get(), Reply::Status(404)),
                (get(), Reply::Later(503, "3600")),
            ] {
                client.shop.says([reply]);
                client.sends(request).await?;
            }
            denied(&client, 6, 3)?;
        }
        Ok(())
    })
    .await
}
