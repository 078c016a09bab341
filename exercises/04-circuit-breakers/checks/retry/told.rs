//! How long to stay away, as whoever was asked has said it.

use super::pausing::{TICK, distance};
use super::scene::{Client, Reply, get, play, plural};
use circuit_breakers::retry::{Config, Retry};
use grading::{Evidence, Finding, World};
use std::time::Duration;

pub(super) async fn retry_after_is_kept<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        for status in [429, 502, 503, 504] {
            for (text, wait) in [("7", 7), ("1", 1), ("0", 0), ("10", 10)] {
                client.shop.turn_page();
                client.shop.says([Reply::Later(status, text)]);
                let ended = client.sends(get()).await?;
                ended.times(2, "the second succeeded")?;
                ended.status(200)?;
                let (least, pause) = (Duration::from_secs(wait), ended.pauses()[0]);
                if pause < least || pause > least + config.first + TICK {
                    let most = least + config.first;
                    let expected = format!("a pause from {least:?} to {most:?}");
                    return Err(ended.not(expected, format!("{pause:?}")));
                }
            }
            // Longer than the longest, or beyond any number of seconds, or nobody knows when.
            let unclear = ["soon", "", "-1", "1.5", "später", "Fri, 31 Dec 2027 23:59:59 GMT"];
            let long = ["11", "86400", "18446744073709551615", "99999999999999999999"];
            for text in unclear.into_iter().chain(long) {
                client.shop.turn_page();
                client.shop.says([Reply::Later(status, text)]);
                let ended = client.sends(get()).await?;
                ended.times(1, "it is not known to be over in time")?;
                ended.status(status)?;
                if !ended.took.is_zero() {
                    return Err(ended.not("the answer at once", format!("{:?} later", ended.took)));
                }
            }
        }
        // As long as it is configured, whatever that is.
        for (seconds, texts) in [(2, ["2", "3"]), (30, ["30", "31"])] {
            let config = Config { longest: Duration::from_secs(seconds), ..config };
            let client = stage.client::<S>(config);
            for (text, times) in texts.into_iter().zip([2, 1]) {
                client.shop.turn_page();
                client.shop.says([Reply::Later(503, text)]);
                let ended = client.sends(get()).await?;
                ended.times(times, &format!("the longest wait is {seconds} s"))?;
            }
        }
        herd(&client, &[config.first]).await
    })
    .await
}

pub(super) async fn told_at_any_attempt<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        let (told, plain) = (Reply::Later(503, "5"), Reply::Status(503));
        for (replies, waits) in [([told.clone(), plain.clone()], [5, 0]), ([plain, told], [0, 5])] {
            client.shop.turn_page();
            client.shop.says(replies);
            let ended = client.sends(get()).await?;
            ended.times(3, "the third succeeded")?;
            let ceilings = [config.first, config.first * 2];
            for ((pause, least), ceiling) in ended.pauses().into_iter().zip(waits).zip(ceilings) {
                let least = Duration::from_secs(least);
                let most = least + ceiling;
                if pause < least || pause > most + TICK {
                    let expected = format!("a pause from {least:?} to {most:?}");
                    return Err(ended.not(expected, format!("{pause:?}")));
                }
            }
        }
        let first = config.first;
        let client = stage.client::<S>(Config { attempts: 4, ..config });
        herd(&client, &[first, first * 2, first * 4]).await?;
        // What they are told is the longest, and the jitter comes on top.
        let client = stage.client::<S>(Config { longest: TOLD, ..config });
        herd(&client, &[first]).await
    })
    .await
}

/// What a herd is told.
const TOLD: Duration = Duration::from_secs(3);

/// Who was told the same does not come at the same moment, neither after the first attempt nor after
/// those that follow, each of which has a ceiling.
async fn herd<S: Retry>(client: &Client<S>, ceilings: &[Duration]) -> Result<(), Finding> {
    const CLIENTS: usize = 200;
    const DISTANCE: f64 = 0.231;
    client.shop.turn_page();
    client.shop.note("client", format!("{} are told the same", plural(CLIENTS, "client")));
    let mut pauses = vec![Vec::new(); ceilings.len()];
    for _ in 0..CLIENTS {
        client.shop.says(vec![Reply::Later(503, "3"); ceilings.len()]);
        let ended = client.sends(get()).await?;
        ended.times(ceilings.len() + 1, "the last succeeded")?;
        for (nth, pause) in pauses.iter_mut().zip(ended.pauses()) {
            nth.push(pause.saturating_sub(TOLD));
        }
    }
    for ((mut pauses, ceiling), nth) in pauses.into_iter().zip(ceilings).zip(1..) {
        pauses.sort();
        let (Some(least), Some(most)) = (pauses.first(), pauses.last()) else {
            return Err(Finding::inconclusive("no pause was seen"));
        };
        if distance(&pauses, *ceiling) > DISTANCE + TICK.div_duration_f64(*ceiling) {
            let expected =
                format!("after attempt {nth}, all spread evenly over {ceiling:?} after the 3 s");
            let saw = format!("from {least:?} to {most:?} after them");
            return Err(Evidence::new(expected, saw).into());
        }
    }
    Ok(())
}
