//! Who waits for what, and until when.

use super::scene::{FOREVER, Reply, get, play, plural};
use circuit_breakers::retry::{Config, Outcome, Repeatable, Retry};
use circuit_breakers::timeouts::Deadline;
use grading::{Evidence, Finding, World};
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::{sleep, timeout};

pub(super) async fn caller_leaves<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        // In the pause.
        client.shop.always(Reply::Later(503, "5"));
        if timeout(Duration::from_secs(2), client.send(get())).await.is_ok() {
            return Err(Finding::inconclusive("the call was over before its caller left"));
        }
        let left = client.shop.note("client", "leaves in the pause");
        sleep(FOREVER).await;
        match client.shop.asked() {
            1 => {}
            0 => return Err(Evidence::new("one attempt", "none").at(left).into()),
            more => {
                let saw = plural(more, "attempt");
                return Err(Evidence::new("no attempt after that", saw).at(left).into());
            }
        }
        let counts = client.retry.counts();
        if counts.retried != 0 {
            let expected = "no retry counted: the shop was asked once";
            return Err(Evidence::new(expected, format!("{counts:?}")).at(left).into());
        }
        // In an attempt.
        client.shop.turn_page();
        client.shop.always(Reply::Hangs);
        if timeout(Duration::from_secs(2), client.send(get())).await.is_ok() {
            return Err(Finding::inconclusive("the call was over before its caller left"));
        }
        let left = client.shop.note("client", "leaves while the shop says nothing");
        sleep(Duration::from_secs(1)).await;
        match client.shop.left_alone() {
            0 => {
                let saw = "it still waits for the shop";
                Err(Evidence::new("the attempt to end with its caller", saw).at(left).into())
            }
            _ => Ok(()),
        }
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
            // Tokio's timers fire at the next whole millisecond.
            if last > left + Duration::from_millis(1) {
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

pub(super) async fn pause_holds_nothing<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        let held = Arc::new(());
        let attempt = {
            let held = Arc::downgrade(&held);
            move |nth| {
                // As a response holds the connection on which its body is still to come.
                let (answer, work) = (held.upgrade(), held.upgrade());
                async move {
                    tokio::task::yield_now().await;
                    drop(work);
                    match nth {
                        1 => Outcome::Busy(answer, Duration::from_secs(5)),
                        _ => Outcome::Final(answer),
                    }
                }
            }
        };
        let retry = Arc::clone(&client.retry);
        let call = async move { retry.call(Repeatable::Yes, None, attempt).await };
        let call = tokio::spawn(call);
        sleep(Duration::from_secs(2)).await;
        let step = client.shop.note("client", "waits: the first attempt has failed, told 5 s");
        if call.is_finished() {
            let _ = call.await?;
            return Err(Evidence::new("a pause of 5 s", "it did not wait").at(step).into());
        }
        let kept = Arc::strong_count(&held) - 1;
        let _ = call.await?;
        match kept {
            0 => Ok(()),
            _ => {
                let expected = "the answer that failed to be dropped before the pause";
                Err(Evidence::new(expected, "it is kept until the next one").at(step).into())
            }
        }
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
