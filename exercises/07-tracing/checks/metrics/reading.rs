//! What several instances say together.

use super::scene::Scene;
use super::scrape::bound;
use grading::history::Step;
use grading::{Evidence, Finding, World};
use observability::metrics::{BOUNDS, Bucket, Metrics, Point};
use rand::RngExt;
use std::time::Duration;

/// Where a counter was, every so many seconds.
fn points(seconds: &[u64], values: &[f64]) -> Vec<Point> {
    let all = seconds.iter().zip(values);
    all.map(|(at, value)| Point { at: Duration::from_secs(*at), value: *value }).collect()
}

impl Scene {
    /// Shows what is read, an instance a lane.
    fn shows(&self, instances: &[Vec<Point>]) {
        self.world.history().turn_page();
        let mut all: Vec<(usize, &Point)> = Vec::new();
        for (nth, points) in instances.iter().enumerate() {
            all.extend(points.iter().map(|point| (nth, point)));
        }
        all.sort_by_key(|(nth, point)| (point.at, *nth));
        for (nth, Point { at, value }) in all {
            let lane = ["one", "other", "third"][nth.min(2)];
            self.world.history().note(lane, format!("after {} s: {value}", at.as_secs_f64()));
        }
    }

    fn rated(&self, expected: Option<f64>, instances: &[Vec<Point>]) -> Result<(), Finding> {
        let told = |rate: Option<f64>| match rate {
            Some(rate) => format!("{} a second", (rate * 1e3).round() / 1e3 + 0.0),
            None => "no rate".to_owned(),
        };
        self.shows(instances);
        let saw = (self.rate)(instances);
        let step = self.world.history().note("rate", told(saw));
        let same = match (expected, saw) {
            (Some(expected), Some(saw)) => close(expected, saw),
            (expected, saw) => expected.is_none() && saw.is_none(),
        };
        if same {
            return Ok(());
        }
        Err(Evidence::new(told(expected), told(saw)).at(step).into())
    }
}

fn close(expected: f64, saw: f64) -> bool {
    (expected - saw).abs() <= 1e-9 * expected.abs().max(1.0)
}

pub(super) async fn restarted<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let times = [0, 15, 30, 45];
    // It had counted long before anybody looked.
    scene.rated(Some(4.0), &[points(&times, &[9_000.0, 9_060.0, 9_120.0, 9_180.0])])?;
    // 60 more, then a restart and 20, then 55 more.
    scene.rated(Some(3.0), &[points(&times, &[9_000.0, 9_060.0, 20.0, 75.0])])?;
    // Twice.
    scene.rated(Some(1.0), &[points(&times, &[9_000.0, 20.0, 15.0, 25.0])])?;
    // A counter of seconds, and scraped when there was time for it.
    let odd = [(0, 0.5), (1_250, 1.75), (2_500, 1.25)];
    let odd = odd.map(|(at, value)| Point { at: Duration::from_millis(at), value });
    scene.rated(Some(1.0), &[odd.into()])?;
    // And all at random.
    let mut random = scene.world.random();
    for _ in 0..20 {
        let (mut value, mut grown) = (f64::from(random.random_range(0..10_000)), 0.0);
        let (mut at, mut all) = (0, vec![Point { at: Duration::ZERO, value }]);
        for _ in 0..20 {
            at += random.random_range(1..30_000);
            let grows = f64::from(random.random_range(0..400)) / 4.0;
            // Where it has counted less than that, nobody could tell that it was restarted.
            let restarts = random.random_bool(0.2) && value > grows;
            value = if restarts { grows } else { value + grows };
            grown += grows;
            all.push(Point { at: Duration::from_millis(at), value });
        }
        scene.rated(Some(grown * 1e3 / at as f64), &[all])?;
    }
    Ok(())
}

pub(super) async fn rates_added<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let times = [0, 30, 60];
    let one = points(&times, &[0.0, 300.0, 600.0]);
    let restarted = points(&times, &[6_000.0, 6_300.0, 150.0]);
    scene.rated(Some(17.5), &[one.clone(), restarted.clone()])?;
    let third = points(&times, &[100.0, 100.0, 160.0]);
    scene.rated(Some(18.5), &[one.clone(), restarted, third])?;
    // It was started when the other had run for half of the time.
    let later = points(&times[1..], &[0.0, 90.0]);
    scene.rated(Some(13.0), &[one.clone(), later])?;
    // Of one that has just been started nobody knows how fast it is.
    let new = points(&times[2..], &[5_000.0]);
    scene.rated(Some(10.0), &[one.clone(), new.clone(), Vec::new()])?;
    scene.rated(None, &[new, Vec::new()])?;
    scene.rated(None, &[points(&[60, 60], &[5.0, 5.0])])?;
    scene.rated(None, &[])?;
    scene.rated(Some(0.0), &[points(&times, &[7.0, 7.0, 7.0])])
}

/// What an instance that has observed this shows.
fn observed(values: &[f64]) -> Vec<Bucket> {
    let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
    let within = |le: f64| values.iter().filter(|value| **value <= le).count() as f64;
    bounds.map(|le| Bucket { le, count: within(le) }).collect()
}

pub(super) async fn quantile_of_all<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let mut random = scene.world.random();
    for round in 0..20 {
        let (fast, slow) = match round {
            0 => (900, 100),
            _ => (random.random_range(1..1_000), random.random_range(1..1_000)),
        };
        let one: Vec<f64> = (0..fast).map(|_| random.random_range(0.001..0.04)).collect();
        let other: Vec<f64> = (0..slow).map(|_| random.random_range(0.3..12.0)).collect();
        // In the last round the third has served nobody yet.
        let between = if round == 19 { 0 } else { random.random_range(1..2_000) };
        let third: Vec<f64> = (0..between).map(|_| random.random_range(0.03..0.4)).collect();
        let instances = [observed(&one), observed(&other), observed(&third)];
        let mut all = [one, other, third].concat();
        all.sort_by(f64::total_cmp);
        scene.world.history().turn_page();
        scene.world.history().note("one", format!("{fast} requests of 1 to 40 ms"));
        scene.world.history().note("other", format!("{slow} of 0.3 to 12 s"));
        scene.world.history().note("third", format!("{between} of 30 to 400 ms"));
        for q in [0.5, 0.9, 0.95, 0.99, 0.25, 1.0] {
            let nth = (q * all.len() as f64).ceil() as usize;
            let truth = all[nth.clamp(1, all.len()) - 1];
            let saw = (scene.quantile)(q, &instances);
            let step = scene.world.history().note("quantile", format!("{q}: {}", shown(saw)));
            lies(truth, saw, q, step)?;
        }
    }
    Ok(())
}

fn shown(value: f64) -> String {
    format!("{}", (value * 1e3).round() / 1e3 + 0.0)
}

/// In the bucket of the true one; in the last, where nobody knows more, at its beginning.
fn lies(truth: f64, saw: f64, q: f64, step: Step) -> Result<(), Finding> {
    let at = BOUNDS.iter().position(|le| truth <= *le);
    let (lower, upper) = match at {
        Some(0) => (0.0, BOUNDS[0]),
        Some(at) => (BOUNDS[at - 1], BOUNDS[at]),
        None => (BOUNDS[13], BOUNDS[13]),
    };
    if saw >= lower - 1e-9 && saw <= upper + 1e-9 {
        return Ok(());
    }
    let expected = match at {
        Some(_) => format!("quantile {q} from {lower} to {upper}: it is {}", shown(truth)),
        None => format!("quantile {q}: {upper}, the highest bound below {}", shown(truth)),
    };
    Err(Evidence::new(expected, shown(saw)).at(step).into())
}

/// Bounds, and how many are at most each.
type Counted = &'static [(f64, f64)];

fn buckets(all: Counted) -> Vec<Bucket> {
    all.iter().map(|(le, count)| Bucket { le: *le, count: *count }).collect()
}

pub(super) async fn edges<D: Metrics>(world: World) -> Result<(), Finding> {
    const INF: f64 = f64::INFINITY;
    let scene = Scene::of::<D>(world);
    let usual: Counted = &[(0.1, 10.0), (0.5, 30.0), (1.0, 40.0), (INF, 40.0)];
    let open: Counted = &[(0.1, 10.0), (0.5, 30.0), (1.0, 30.0), (INF, 40.0)];
    let gap: Counted = &[(0.1, 0.0), (0.5, 0.0), (1.0, 8.0), (INF, 8.0)];
    let none: Counted = &[(0.1, 0.0), (0.5, 0.0), (1.0, 0.0), (INF, 0.0)];
    let rates: Counted = &[(0.1, 0.25), (0.5, 0.75), (1.0, 1.0), (INF, 1.0)];
    let all: [(Counted, f64, f64); 18] = [
        (usual, 0.5, 0.3),
        (usual, 0.875, 0.75),
        (usual, 0.75, 0.5),
        (usual, 0.125, 0.05),
        (usual, 1.0, 1.0),
        // Not at one of them, but between two.
        (usual, 0.33, 0.164),
        (usual, 0.01, 0.004),
        (rates, 0.5, 0.3),
        (open, 0.9, 1.0),
        (open, 0.99, 1.0),
        (gap, 0.5, 0.75),
        (gap, 1.0, 1.0),
        (none, 0.5, f64::NAN),
        (&[], 0.5, f64::NAN),
        (usual, f64::NAN, f64::NAN),
        (usual, -0.1, -INF),
        (usual, 1.1, INF),
        (usual, 0.0, 0.0),
    ];
    for (counted, q, expected) in all {
        let history = scene.world.history();
        history.turn_page();
        for (le, count) in counted {
            history.note("buckets", format!("le=\"{}\": {count}", bound(*le)));
        }
        let instances = if counted.is_empty() { Vec::new() } else { vec![buckets(counted)] };
        let saw = (scene.quantile)(q, &instances);
        let step = history.note("quantile", format!("{q}: {}", shown(saw)));
        let same = match expected.is_finite() {
            true => close(expected, saw),
            false => expected.is_nan() && saw.is_nan() || expected == saw,
        };
        if !same {
            let expected = format!("quantile {q}: {expected}");
            return Err(Evidence::new(expected, shown(saw)).at(step).into());
        }
    }
    Ok(())
}
