//! How long between two attempts.

use super::scene::{Client, Ended, Reply, get, play};
use circuit_breakers::retry::{Config, Retry};
use grading::{Finding, World};
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;

/// Tokio's timers fire at whole milliseconds, the next one up.
pub(super) const TICK: Duration = Duration::from_millis(1);

pub(super) async fn full_jitter<S: Retry>(world: World) -> Result<(), Finding> {
    /// How far the pauses may be from uniform, by Kolmogorov and Smirnov: of as many that are
    /// uniform, one set in a thousand million is farther off (2·exp(-2·n·d²) < 10⁻⁹). Those of
    /// "equal jitter" are 0.5 off, those of none 1.
    const PAUSES: usize = 500;
    const DISTANCE: f64 = 0.147;
    /// Of 500 pauses up to 80 ms, or more, some six end in the same millisecond.
    const CROWD: usize = 40;
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
            let crowd = pauses.chunk_by(|one, other| one.as_millis() == other.as_millis());
            if let Some(crowd) = crowd.max_by_key(|crowd| crowd.len()).filter(|it| it.len() > CROWD)
            {
                let expected = format!("{PAUSES} pauses, spread evenly from 0 to {ceiling:?}");
                let saw = format!("{} of them in one millisecond: {:?}", crowd.len(), crowd[0]);
                return Err(example.not(expected, saw));
            }
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
pub(super) fn distance(sorted: &[Duration], ceiling: Duration) -> f64 {
    let n = sorted.len() as f64;
    let distances = sorted.iter().zip(0_u32..).map(|(pause, at)| {
        let uniform = pause.div_duration_f64(ceiling).min(1.0);
        let (below, above) = (f64::from(at) / n, f64::from(at + 1) / n);
        (uniform - below).abs().max((uniform - above).abs())
    });
    distances.fold(0.0, f64::max)
}

/// How much two rows of pauses have to do with each other, by Pearson: from -1 to 1.
fn related(one: &[Duration], other: &[Duration]) -> f64 {
    let mean = |row: &[Duration]| {
        row.iter().map(Duration::as_secs_f64).sum::<f64>() / row.len().max(1) as f64
    };
    let (mean_one, mean_other) = (mean(one), mean(other));
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (one.as_secs_f64() - mean_one, other.as_secs_f64() - mean_other);
        both += one * other;
        first += one * one;
        second += other * other;
    }
    // Of a row that is always the same, the distribution has to tell what is wrong.
    match first * second > 0.0 {
        true => both / (first * second).sqrt(),
        false => 0.0,
    }
}

pub(super) async fn ceiling_doubles<S: Retry>(world: World) -> Result<(), Finding> {
    /// Of so many that are uniform, the longest is above 80 % of the ceiling but for one set in
    /// 10¹⁹ (0.8²⁰⁰), and one set in 10⁹ is farther off than this, as in `full_jitter`.
    const CALLS: usize = 200;
    const DISTANCE: f64 = 0.231;
    /// Of pauses that have nothing to do with each other it is below 0.43 but for one set in 10⁹.
    const RELATED: f64 = 0.5;
    play(world, async |mut stage| {
        let first = Duration::from_millis(stage.random.random_range(80..200));
        let longest = first * stage.random.random_range(5..8);
        let config = Config { attempts: 6, first, longest, ..stage.config() };
        let client = stage.client::<S>(config);
        client.shop.always(Reply::Status(503));
        let mut pauses: [Vec<Duration>; 5] = Default::default();
        let mut example = None;
        for _ in 0..CALLS {
            let ended = client.sends(get()).await?;
            ended.times(6, "all of them failed")?;
            for (nth, pause) in pauses.iter_mut().zip(ended.pauses()) {
                nth.push(pause);
            }
            example.get_or_insert(ended);
        }
        let Some(example) = example else {
            return Err(Finding::inconclusive("no pause was seen"));
        };
        let ceilings = [first, first * 2, first * 4, longest, longest];
        for (two, nth) in pauses.windows(2).zip(1..) {
            let related = related(&two[0], &two[1]);
            if related > RELATED {
                let expected = format!("a pause after attempt {} that is drawn anew", nth + 1);
                let saw = format!("it follows the one before: correlation {related:.2}");
                return Err(example.not(expected, saw));
            }
        }
        for ((mut pauses, ceiling), nth) in pauses.into_iter().zip(ceilings).zip(1..) {
            pauses.sort();
            let most = pauses[CALLS - 1];
            if most > ceiling + TICK || most < ceiling.mul_f64(0.8) {
                let expected = format!("pauses up to {ceiling:?} after attempt {nth}");
                return Err(example.not(expected, format!("up to {most:?}")));
            }
            if distance(&pauses, ceiling) > DISTANCE + TICK.div_duration_f64(ceiling) {
                let expected =
                    format!("pauses spread evenly up to {ceiling:?} after attempt {nth}");
                let saw = format!("half of them up to {:?}", pauses[CALLS / 2]);
                return Err(example.not(expected, saw));
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
    /// As in `ceiling_doubles`.
    const CLIENTS: u64 = 200;
    const DISTANCE: f64 = 0.231;
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
        // Clients that are numbered: all fail, each for the first time.
        stage.history.turn_page();
        let mut pauses = Vec::new();
        let mut example = None;
        for seed in 0..CLIENTS {
            shop.says([Reply::Status(503)]);
            let ended = client(seed).sends(get()).await?;
            pauses.extend(ended.pauses());
            example.get_or_insert(ended);
        }
        pauses.sort();
        match (example, pauses.last()) {
            (Some(example), Some(most))
                if distance(&pauses, config.first)
                    > DISTANCE + TICK.div_duration_f64(config.first) =>
            {
                let (first, last) = (config.first, CLIENTS - 1);
                let expected =
                    format!("the first pauses of seeds 0 to {last} evenly up to {first:?}");
                let half = pauses[pauses.len() / 2];
                Err(example
                    .not(expected, format!("half of them up to {half:?}, all up to {most:?}")))
            }
            (Some(_), Some(_)) => Ok(()),
            _ => Err(Finding::inconclusive("no pause was seen")),
        }
    })
    .await
}
