//! Nothing, and no limit.

use super::calling::call;
use super::pausing::TICK;
use super::scene::{Reply, get, play};
use circuit_breakers::retry::{Budget, Config, Outcome, Repeatable, Retry};
use circuit_breakers::timeouts::Deadline;
use grading::{Evidence, Finding, World};
use std::time::Duration;

pub(super) async fn limits_at_their_ends<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        // No pause is wanted.
        let none = Duration::ZERO;
        for config in [Config { first: none, ..config }, Config { longest: none, ..config }] {
            stage.history.turn_page();
            let client = stage.client::<S>(config);
            client.shop.always(Reply::Status(503));
            let ended = client.sends(get()).await?;
            ended.times(3, "no pause is as good as one")?;
            if ended.took > 2 * TICK {
                return Err(ended.not("no pause", format!("{:?}", ended.pauses())));
            }
        }
        // Until it works.
        stage.history.turn_page();
        let client = stage.client::<S>(Config { attempts: u32::MAX, ..config });
        client.shop.says(vec![Reply::Status(503); 5]);
        client.sends(get()).await?.times(6, "the sixth succeeded")?;
        // As many retries as anybody wants.
        stage.history.turn_page();
        let budget = Budget { percent: u32::MAX, reserve: u32::MAX };
        let client = stage.client::<S>(Config { budget, ..config });
        for _ in 0..3 {
            client.shop.says([Reply::Status(503), Reply::Status(503)]);
            client.sends(get()).await?.times(3, "the third succeeded")?;
        }
        // Told to stay away for ever.
        for longest in [config.longest, Duration::MAX] {
            stage.history.turn_page();
            let client = stage.client::<S>(Config { longest, ..config });
            let deadline = Deadline::in_time(Duration::from_secs(60));
            let forever = Outcome::Busy((), Duration::MAX);
            let called = call(&*client.retry, Repeatable::Yes, Some(deadline), [forever]).await;
            if called.told.len() != 1 || !called.took.is_zero() {
                let step = client.shop.note("client", "call(…): told to stay away for ever");
                let saw = format!("{} after {:?}", called.told.len(), called.took);
                return Err(Evidence::new("1 attempt, and its answer at once", saw)
                    .at(step)
                    .into());
            }
        }
        Ok(())
    })
    .await
}
