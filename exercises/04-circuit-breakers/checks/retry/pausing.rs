//! How long between two attempts.

use super::scene::{Client, Ended, Reply, get, play, plural};
use circuit_breakers::retry::{Config, Retry};
use grading::{Evidence, Finding, World};
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;

/// Tokio's timers fire at whole milliseconds, the next one up.
const TICK: Duration = Duration::from_millis(1);

pub(super) async fn full_jitter<S: Retry>(world: World) -> Result<(), Finding> {
    /// How far the pauses may be from uniform, by Kolmogorov and Smirnov: of as many that are
    /// uniform, one set in a thousand million is farther off (2·exp(-2·n·d²) < 10⁻⁹). Those of
    /// "equal jitter" are 0.5 off, those of none 1.
    const PAUSES: usize = 500;
    const DISTANCE: f64 = 0.147;
    play(world, async |mut stage| {
        let plain = stage.config();
        // The same below the longest pause as below the first ceiling.
        let capped = Config { first: plain.first * 4, longest: plain.first, ..plain };
        for config in [plain, capped] {
            stage.history.turn_page();
            let ceiling = config.first.min(config.longest);
            let client = stage.client::<S>(Config { attempts: 2, ..config });
            let mut pauses = Vec::new();
            let mut example = None;
            for _ in 0..PAUSES {
                client.shop.says([Reply::Status(503)]);
                let ended = client.sends(get()).await?;
                ended.times(2, "the second succeeded")?;
                pauses.extend(ended.pauses());
                example.get_or_insert(ended);
            }
            pauses.sort();
            let (Some(example), Some(least), Some(most)) = (example, pauses.first(), pauses.last())
            else {
                return Err(Finding::inconclusive("no pause was seen"));
            };
            // A millisecond of rounding shifts all of them a little.
            if distance(&pauses, ceiling) > DISTANCE + TICK.div_duration_f64(ceiling) {
                let expected = format!("pauses spread evenly from 0 to {ceiling:?}");
                let half = pauses[PAUSES / 2];
                let saw =
                    format!("{PAUSES} from {least:?} to {most:?}, half of them up to {half:?}");
                return Err(example.not(expected, saw));
            }
        }
        Ok(())
    })
    .await
}

/// How far `sorted` is from uniform on [0, ceiling]: the greatest distance of the two distributions.
fn distance(sorted: &[Duration], ceiling: Duration) -> f64 {
    let n = sorted.len() as f64;
    let distances = sorted.iter().zip(0_u32..).map(|(pause, at)| {
        let uniform = pause.div_duration_f64(ceiling).min(1.0);
        let (below, above) = (f64::from(at) / n, f64::from(at + 1) / n);
        (uniform - below).abs().max((uniform - above).abs())
    });
    distances.fold(0.0, f64::max)
}

pub(super) async fn ceiling_doubles<S: Retry>(world: World) -> Result<(), Finding> {
    /// Of so many that are uniform, the longest is above 80 % of the ceiling but for one set in
    /// 10⁹ (0.8¹⁰⁰ = 2·10⁻¹⁰).
    const CALLS: usize = 100;
    play(world, async |mut stage| {
        let first = Duration::from_millis(stage.random.random_range(80..200));
        let longest = first * stage.random.random_range(5..8);
        let config = Config { attempts: 6, first, longest, ..stage.config() };
        let client = stage.client::<S>(config);
        client.shop.always(Reply::Status(503));
        let mut most = [Duration::ZERO; 5];
        let mut example = None;
        for _ in 0..CALLS {
            let ended = client.sends(get()).await?;
            ended.times(6, "all of them failed")?;
            for (most, pause) in most.iter_mut().zip(ended.pauses()) {
                *most = pause.max(*most);
            }
            example.get_or_insert(ended);
        }
        let Some(example) = example else {
            return Err(Finding::inconclusive("no pause was seen"));
        };
        let ceilings = [first, first * 2, first * 4, longest, longest];
        for ((most, ceiling), nth) in most.into_iter().zip(ceilings).zip(1..) {
            if most > ceiling + TICK || most < ceiling.mul_f64(0.8) {
                let expected = format!("pauses up to {ceiling:?} after attempt {nth}");
                return Err(example.not(expected, format!("up to {most:?}")));
            }
        }
        // So many doublings fit in no integer.
        stage.history.turn_page();
        let first = Duration::from_secs(3_600);
        let config = Config { attempts: 150, first, longest: TICK, ..stage.config() };
        let client = stage.client::<S>(config);
        client.shop.always(Reply::Status(503));
        let ended = client.sends(get()).await?;
        ended.times(150, "all of them failed")?;
        let longest = ended.pauses().into_iter().max().unwrap_or_default();
        match longest <= 2 * TICK {
            true => Ok(()),
            false => Err(ended.not("no pause above 1 ms, the longest", format!("{longest:?}"))),
        }
    })
    .await
}

pub(super) async fn seeds_draw_the_pauses<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = Config { attempts: 8, ..stage.config() };
        let seed: u64 = stage.random.random();
        let shop = stage.client::<S>(config).shop;
        shop.always(Reply::Status(503));
        let client = |seed| Client { retry: Arc::new(S::new(config, seed)), shop: shop.clone() };
        let one = client(seed).sends(get()).await?;
        let same = client(seed).sends(get()).await?;
        let other = client(seed ^ 0x5eed).sends(get()).await?;
        let told = |ended: &Ended| format!("{:?}", ended.pauses());
        if one.pauses() != same.pauses() {
            let expected = format!("the same pauses from the same seed: {}", told(&one));
            return Err(same.not(expected, told(&same)));
        }
        if one.pauses() == other.pauses() {
            let expected = "other pauses from another seed";
            return Err(other.not(expected, format!("the same: {}", told(&one))));
        }
        Ok(())
    })
    .await
}

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
            let unclear = ["soon", "-1", "1.5", "Fri, 31 Dec 2027 23:59:59 GMT"];
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
        herd(&client).await
    })
    .await
}

/// Who was told the same does not come at the same moment.
async fn herd<S: Retry>(client: &Client<S>) -> Result<(), Finding> {
    const CLIENTS: usize = 40;
    client.shop.turn_page();
    client.shop.note("client", format!("{} are told the same", plural(CLIENTS, "client")));
    let mut pauses = Vec::new();
    for _ in 0..CLIENTS {
        client.shop.says([Reply::Later(503, "3")]);
        pauses.extend(client.sends(get()).await?.pauses());
    }
    pauses.sort();
    pauses.dedup();
    // Of at least 80 moments, 40 uniform draws meet in a dozen, not in one or two.
    match pauses.len() {
        few if few < 10 => {
            let saw = format!("at {}", plural(few, "moment"));
            Err(Evidence::new("40 clients to come back spread over the jitter", saw).into())
        }
        _ => Ok(()),
    }
}
