//! How many retries there are in all.

use super::scene::{Reply, get, play, plural, request};
use circuit_breakers::retry::{Budget, Config, Retry};
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
        for percent in [10, stage.random.random_range(5..40)] {
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
                // What is never spent is no budget either.
                if asked - call < earned * 8 / 10 {
                    let expected = format!("some {earned} retries for {CALLS} calls");
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
        Ok(())
    })
    .await
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
            }
            let counts = client.retry.counts();
            if (counts.offered, counts.retried, counts.denied) != (3, 0, 3) {
                let evidence = Evidence::new("3 calls denied a retry", format!("{counts:?}"));
                return Err(evidence.into());
            }
        }
        Ok(())
    })
    .await
}
