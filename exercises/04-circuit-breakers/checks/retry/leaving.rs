//! Who waits for what, and until when.

use super::scene::{FOREVER, Reply, get, play, plural};
use circuit_breakers::retry::{Config, Counts, Retry};
use circuit_breakers::timeouts::Deadline;
use grading::{Evidence, Finding, World};
use rand::RngExt;
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::{sleep, timeout};

/// Tokio's timers fire at the next whole millisecond.
const TICK: Duration = Duration::from_millis(1);

pub(super) async fn caller_leaves<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        for (replies, asked, hanging, when) in [
            ([Reply::Later(503, "5"), Reply::Hangs], 1, 0, "in the pause"),
            ([Reply::Hangs, Reply::Hangs], 1, 1, "while the shop says nothing"),
            ([Reply::Status(503), Reply::Hangs], 2, 1, "in the second attempt"),
        ] {
            stage.history.turn_page();
            let client = stage.client::<S>(config);
            client.shop.says(replies);
            if timeout(Duration::from_secs(2), client.send(get())).await.is_ok() {
                return Err(Finding::inconclusive("the call was over before its caller left"));
            }
            let left = client.shop.note("client", format!("leaves {when}"));
            let not = |expected: &str, saw: String| -> Result<(), Finding> {
                Err(Evidence::new(expected, saw).at(left).into())
            };
            // Time enough for whatever goes on.
            sleep(FOREVER).await;
            match client.shop.asked() {
                now if now == asked => {}
                now if now < asked => {
                    return not(&plural(asked, "attempt"), plural(now, "attempt"));
                }
                now => return not("no attempt after that", plural(now - asked, "attempt")),
            }
            if client.shop.left_alone() != hanging {
                let saw = "it still waits for the shop".to_owned();
                return not("the attempt to end with its caller", saw);
            }
            let counts = client.retry.counts();
            let retried = asked as u64 - 1;
            if counts != (Counts { offered: 1, retried, denied: 0 }) {
                let expected = format!("1 call and {retried} retries: so often the shop was asked");
                return not(&expected, format!("{counts:?}"));
            }
            client.shop.says([Reply::Status(503)]);
            let ended = client.sends(get()).await?;
            ended.times(2, "who has left takes nothing from others")?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn deadline_is_kept<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        let until = |left| {
            let mut request = get();
            request.extensions_mut().insert(Deadline::in_time(left));
            request
        };
        // Far enough.
        client.shop.says([Reply::Later(503, "3")]);
        let ended = client.sends(until(Duration::from_secs(30))).await?;
        ended.times(2, "the deadline is far")?;
        // Nearer than the pause.
        for left in [Duration::from_secs(2), Duration::ZERO] {
            client.shop.says([Reply::Later(503, "5")]);
            let ended = client.sends(until(left)).await?;
            ended.times(1, "the pause would end after the deadline")?;
            ended.status(503)?;
            if !ended.took.is_zero() {
                return Err(ended.not("the answer at once", format!("{:?} later", ended.took)));
            }
        }
        // The attempt takes time as well.
        client.shop.turn_page();
        let three = Duration::from_secs(3);
        client.shop.says([Reply::Slow(three, 503, "2")]);
        let ended = client.sends(until(three * 2)).await?;
        ended.times(2, "of 6 s there are 3 left")?;
        client.shop.says([Reply::Slow(three, 503, "2")]);
        let ended = client.sends(until(three + Duration::from_secs(1))).await?;
        ended.times(1, "of 4 s there is 1 left")?;
        if ended.took > three + TICK {
            return Err(ended.not("the answer at once", format!("after {:?}", ended.took)));
        }
        // To the moment.
        client.shop.turn_page();
        let sharp = stage.client::<S>(Config { first: Duration::ZERO, ..config });
        for (left, reply) in [(5, Reply::Later(503, "5")), (0, Reply::Status(503))] {
            sharp.shop.says([reply]);
            let ended = sharp.sends(until(Duration::from_secs(left))).await?;
            ended.times(1, "the pause would end with the deadline, and not before")?;
        }
        // Half of what may be drawn fits, and with it half of all calls are repeated.
        client.shop.turn_page();
        let left = config.first / 2;
        let twice = stage.client::<S>(Config { attempts: 2, ..config });
        let (mut repeated, mut last) = (0, None);
        for _ in 0..200 {
            twice.shop.says([Reply::Status(503)]);
            let ended = twice.sends(until(left)).await?;
            repeated += ended.asked.len() - 1;
            last = Some(ended);
        }
        // Of 200 tosses, between 58 and 142 but for one set in 10⁹.
        if let Some(last) = last.filter(|_| !(58..=142).contains(&repeated)) {
            let first = config.first;
            let expected = format!("half of 200 repeated: pauses up to {first:?}, {left:?} left");
            return Err(last.not(expected, format!("{repeated} of them")));
        }
        // Anywhere: some pauses fit, some do not.
        client.shop.turn_page();
        client.shop.always(Reply::Status(503));
        for _ in 0..200 {
            let left = config.first.mul_f64(stage.random.random_range(0.0..3.0));
            let ended = client.sends(until(left)).await?;
            let last = ended.asked.last().map_or(Duration::ZERO, |last| last.at - ended.began);
            if last > left + TICK {
                let expected = format!("no attempt after {left:?}, the deadline");
                return Err(ended.not(expected, format!("one after {last:?}")));
            }
            if !ended.afterwards().is_zero() {
                let afterwards = ended.afterwards();
                return Err(ended.not("the last answer at once", format!("{afterwards:?} later")));
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn nobody_waits_for_another<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        let gate = Gate::shut();
        let replies = [Reply::Held(200, gate.clone()), Reply::Later(503, "8")];
        for (reply, what) in replies.into_iter().zip(["for its answer", "in its pause"]) {
            client.shop.turn_page();
            client.shop.says([reply]);
            let first = tokio::spawn(client.send(get()));
            // On this clock that is until all others wait.
            sleep(Duration::from_millis(1)).await;
            if first.is_finished() {
                let _ = first.await?;
                return Err(Finding::inconclusive("the first did not wait"));
            }
            client.shop.note("client", format!("the first waits {what}"));
            let ended = client.sends(get()).await?;
            gate.open();
            let _ = first.await?;
            ended.status(200)?;
            if !ended.took.is_zero() {
                let expected = "an answer, while another waits";
                return Err(ended.not(expected, format!("after {:?}", ended.took)));
            }
        }
        // Who fails meanwhile has a pause of its own.
        client.shop.turn_page();
        client.shop.says([Reply::Later(503, "8")]);
        let first = tokio::spawn(client.send(get()));
        sleep(Duration::from_millis(1)).await;
        client.shop.note("client", "the first waits in its pause");
        client.shop.says([Reply::Status(503)]);
        let ended = client.sends(get()).await?;
        let _ = first.await?;
        ended.times(2, "the second succeeded")?;
        let most = config.first + Duration::from_millis(1);
        match ended.took <= most {
            true => Ok(()),
            false => {
                let expected = format!("an answer after its own pause, of up to {most:?}");
                Err(ended.not(expected, format!("after {:?}", ended.took)))
            }
        }
    })
    .await
}
