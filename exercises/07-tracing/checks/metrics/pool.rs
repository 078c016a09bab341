//! Who has a place in the pool, and who waits for one.

use super::scene::{Later, Scene, Shop};
use grading::{Evidence, Finding, SOON, World};
use observability::metrics::{ABANDONED, IN_USE, Metrics, WAITING};
use rand::RngExt;
use std::any::Any;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

type Place = Box<dyn Any + Send>;

fn shows(shop: &Shop, in_use: usize, waiting: usize, abandoned: usize) -> Result<(), Finding> {
    let scrape = shop.scrape()?;
    for (name, expected) in [(IN_USE, in_use), (WAITING, waiting), (ABANDONED, abandoned)] {
        scrape.is(name, expected as f64, scrape.sum(name, &[]))?;
    }
    Ok(())
}

/// A place that is free is got soon.
async fn gets(shop: &Shop, who: &str, place: Later<Place>) -> Result<Place, Finding> {
    match tokio::time::timeout(SOON, place).await {
        Ok(place) => {
            shop.note(format!("{who} has a place"));
            Ok(place)
        }
        Err(_) => {
            let step = shop.note(format!("{who} waits, and in vain"));
            let saw = format!("none in {SOON:?}, and one is free");
            Err(Evidence::new(format!("a place for {who}"), saw).at(step).into())
        }
    }
}

fn one_too_many(shop: &Shop, who: &str) -> Finding {
    let step = shop.note(format!("{who} has a place"));
    let expected = format!("a pool of {}, and no more", shop.places);
    Evidence::new(expected, format!("another one, for {who}")).at(step).into()
}

/// Somebody who waits, and is seen to.
async fn begins_to_wait(
    shop: &Shop,
    who: &str,
    waiting: usize,
) -> Result<JoinHandle<Place>, Finding> {
    let task = tokio::spawn(shop.takes_place());
    let began = Instant::now();
    // It has begun to wait when the scrape says so, and not when it was spawned.
    while shop.quiet_scrape()?.sum(WAITING, &[]) < waiting as f64 && began.elapsed() < SOON {
        if task.is_finished() {
            return Err(one_too_many(shop, who));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    shop.note(format!("{who} waits"));
    Ok(task)
}

/// What somebody's wait has ended with.
fn ended(task: JoinHandle<Place>) -> Later<Place> {
    // Without a place nobody has one: what is then shown is too little.
    Box::pin(async { task.await.unwrap_or_else(|_| Box::new(())) })
}

async fn both_taken(shop: &Shop) -> Result<(Place, Place), Finding> {
    shows(shop, 0, 0, 0)?;
    let anna = gets(shop, "anna", shop.takes_place()).await?;
    shows(shop, 1, 0, 0)?;
    let ben = gets(shop, "ben", shop.takes_place()).await?;
    shows(shop, 2, 0, 0)?;
    Ok((anna, ben))
}

pub(super) async fn waits<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let (anna, ben) = both_taken(&shop).await?;
    let cem = begins_to_wait(&shop, "cem", 1).await?;
    shows(&shop, 2, 1, 0)?;
    let dana = begins_to_wait(&shop, "dana", 2).await?;
    shows(&shop, 2, 2, 0)?;
    drop(anna);
    shop.note("anna gives hers back");
    let cem = gets(&shop, "cem", ended(cem)).await?;
    shows(&shop, 2, 1, 0)?;
    drop(ben);
    shop.note("ben gives his back");
    let dana = gets(&shop, "dana", ended(dana)).await?;
    shows(&shop, 2, 0, 0)?;
    drop((cem, dana));
    shop.note("both give theirs back");
    shows(&shop, 0, 0, 0)
}

pub(super) async fn places<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let more = scene.world.random().random_range(3..12);
    for size in [1, more] {
        scene.world.history().turn_page();
        let shop = scene.open_of("shop", size);
        shop.note(format!("a pool of {size}"));
        let mut taken = Vec::new();
        for nth in 1..=size {
            taken.push(gets(&shop, &format!("the {nth}."), shop.takes_place()).await?);
            shows(&shop, nth, 0, 0)?;
        }
        let waits = begins_to_wait(&shop, "one more", 1).await?;
        shows(&shop, size, 1, 0)?;
        drop(taken);
        shop.note("all of them give theirs back");
        let _last = gets(&shop, "one more", ended(waits)).await?;
        shows(&shop, 1, 0, 0)?;
    }
    Ok(())
}

pub(super) async fn unpolled<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let annas = shop.takes_bare();
    shop.note("anna's is made, and not polled");
    let _taken = both_taken(&shop).await?;
    let cems = shop.takes_bare();
    shop.note("cem's is made, and not polled");
    shows(&shop, 2, 0, 0)?;
    drop((annas, cems));
    shop.note("both are dropped");
    shows(&shop, 2, 0, 0)
}

pub(super) async fn handed_over<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let (anna, ben) = both_taken(&shop).await?;
    // Not in a task: only here it is polled, and not any more when there is a place.
    let (mut cems, began) = (shop.takes_place(), Instant::now());
    while shop.quiet_scrape()?.sum(WAITING, &[]) < 1.0 && began.elapsed() < SOON {
        if let Ok(_place) = tokio::time::timeout(Duration::from_millis(1), &mut cems).await {
            return Err(one_too_many(&shop, "cem"));
        }
    }
    shop.note("cem waits");
    shows(&shop, 2, 1, 0)?;
    drop(anna);
    shop.note("anna gives hers back");
    drop(cems);
    shop.note("cem gives up just then");
    shows(&shop, 1, 0, 1)?;
    let dana = gets(&shop, "dana", shop.takes_place()).await?;
    shows(&shop, 2, 0, 1)?;
    drop((ben, dana));
    shop.note("both give theirs back");
    shows(&shop, 0, 0, 1)
}

pub(super) async fn gives_up<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let (anna, ben) = both_taken(&shop).await?;
    let cem = begins_to_wait(&shop, "cem", 1).await?;
    cem.abort();
    let _ = tokio::time::timeout(SOON, cem).await;
    shop.note("cem gives up");
    shows(&shop, 2, 0, 1)?;
    drop(anna);
    shop.note("anna gives hers back");
    shows(&shop, 1, 0, 1)?;
    // Nobody waits any more, so it is free: not cem's.
    let dana = gets(&shop, "dana", shop.takes_place()).await?;
    shows(&shop, 2, 0, 1)?;
    drop((ben, dana));
    shop.note("both give theirs back");
    shows(&shop, 0, 0, 1)
}
