//! In which buckets a duration is.

use super::scene::{Ask, Scene};
use super::scrape::{Scrape, bound};
use grading::{Finding, World};
use observability::metrics::{BOUNDS, Bucket, Metrics};
use rand::RngExt;
use std::time::Duration;

/// The buckets are those of the contract, and hold what these durations make of them.
fn hold(scrape: &Scrape, took: &[Duration]) -> Result<(), Finding> {
    let buckets = scrape.buckets(&[]);
    let bounds: Vec<f64> = buckets.iter().map(|bucket| bucket.le).collect();
    let expected: Vec<f64> = BOUNDS.into_iter().chain([f64::INFINITY]).collect();
    if bounds != expected {
        let told = |bounds: &[f64]| bounds.iter().copied().map(bound).collect::<Vec<_>>().join(" ");
        let (expected, saw) = (told(&expected), told(&bounds));
        return Err(scrape.is_wrong(format!("the bounds {expected}"), format!("the bounds {saw}")));
    }
    for Bucket { le, count } in buckets {
        let within = took.iter().filter(|took| took.as_secs_f64() <= le).count();
        scrape.is(&format!("le=\"{}\"", bound(le)), within as f64, count)?;
    }
    Ok(())
}

pub(super) async fn on_the_bound<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let mut random = scene.world.random();
    // One at each bound, in an order that nobody knows; each in a shop of its own.
    let mut bounds = BOUNDS.to_vec();
    while !bounds.is_empty() {
        let le = bounds.swap_remove(random.random_range(0..bounds.len()));
        // In whole microseconds, as the bounds are.
        let exactly = Duration::from_micros((le * 1e6).round() as u64);
        for took in [exactly, exactly + Duration::from_nanos(1)] {
            scene.world.history().turn_page();
            let shop = scene.open("shop");
            shop.serve(Ask::of("/orders/{id}").takes(took)).await?;
            hold(&shop.scrape()?, &[took])?;
        }
    }
    Ok(())
}

pub(super) async fn cumulative<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let mut random = scene.world.random();
    let mut took = vec![Duration::from_micros(1_200), Duration::from_millis(20)];
    took.extend([Duration::from_millis(2_500), Duration::from_secs(11)]);
    for took in took.clone() {
        shop.serve(Ask::of("/orders/{id}").takes(took)).await?;
    }
    let few = shop.scrape()?;
    hold(&few, &took)?;
    few.is("sum, in seconds", 13.5212, few.seconds(&[]))?;
    few.is("count", 4.0, few.counted(&[]))?;
    shop.note("100 more, at random");
    for _ in 0..100 {
        let micros = random.random_range(1..12_000_000);
        took.push(Duration::from_micros(micros));
        shop.serves(&Ask::of("/orders/{id}").takes(Duration::from_micros(micros))).await;
    }
    let many = shop.scrape()?;
    hold(&many, &took)?;
    let sum: Duration = took.iter().sum();
    many.is("sum, in seconds", sum.as_secs_f64(), many.seconds(&[]))?;
    many.is("count", took.len() as f64, many.counted(&[]))
}
