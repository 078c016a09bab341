//! From a bucket to a request in it.

use super::scene::{Ask, Scene, Shop, as_work_of, at, told};
use super::scrape::{Labels, Scrape, bound};
use grading::{Finding, SOON, World, comes_to};
use observability::metrics::text::Sample;
use observability::metrics::{BOUNDS, DURATION, Metrics};
use rand::RngExt;
use std::collections::BTreeMap;
use std::time::Duration;
use testbed::gate::Gate;

type Took = BTreeMap<String, Duration>;

fn shown(id: &str) -> String {
    format!("trace_id=\"{}\"", id.escape_debug().take(20).collect::<String>())
}

/// Every exemplar is of the bucket that it stands at, and every bucket with something in it has one.
fn name_theirs(scrape: &Scrape, of: Labels<'_>, took: &Took) -> Result<(), Finding> {
    let mut below = (f64::NEG_INFINITY, 0.0);
    // All of these are of one series, so that its buckets follow each other.
    for Sample { labels, value, exemplar, .. } in scrape.of(&format!("{DURATION}_bucket"), of) {
        let le = labels.get("le").and_then(|le| le.parse::<f64>().ok()).unwrap_or(f64::NAN);
        let (lower, count_below) = std::mem::replace(&mut below, (le, *value));
        let place = format!("le=\"{}\"", bound(le));
        let Some(exemplar) = exemplar else {
            if *value > count_below {
                return Err(scrape.is_wrong(format!("an exemplar at {place}"), "none"));
            }
            continue;
        };
        if let Some(odd) = exemplar.labels.keys().find(|label| *label != "trace_id") {
            let saw = format!("the label {odd}");
            return Err(scrape.is_wrong(format!("a trace_id and no more at {place}"), saw));
        }
        let id = exemplar.labels.get("trace_id").cloned().unwrap_or_default();
        let Some(took) = took.get(&id) else {
            let saw = shown(&id);
            let one = took.keys().next().filter(|_| took.len() == 1);
            let whose = one.map_or_else(|| "a trace of ours".to_owned(), |one| shown(one));
            return Err(scrape.is_wrong(format!("{whose} at {place}"), saw));
        };
        let within = |seconds: f64| lower < seconds && seconds <= le;
        if !within(took.as_secs_f64()) {
            let saw = format!("{id} at {place}, which took {}", told(*took));
            return Err(scrape.is_wrong("an exemplar of the bucket that it stands at", saw));
        }
        scrape.is(
            &format!("the exemplar's value at {place}"),
            took.as_secs_f64(),
            exemplar.value,
        )?;
    }
    Ok(())
}

fn has_none(shop: &Shop, why: &str) -> Result<(), Finding> {
    let scrape = shop.scrape()?;
    let found = scrape.samples.iter().find_map(|sample| sample.exemplar.as_ref());
    let Some(exemplar) = found else {
        return Ok(());
    };
    let id = exemplar.labels.get("trace_id").cloned().unwrap_or_default();
    Err(scrape.is_wrong(format!("no exemplar: {why}"), shown(&id)))
}

pub(super) async fn exemplars<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let ask = || Ask::of("/orders/{id}");
    let shop = scene.open("shop");
    shop.serve(ask()).await?;
    shop.serve(ask().traced(&"x".repeat(121))).await?;
    has_none(&shop, "nobody's work has one, and an id of more than 128 neither")?;

    // Anna's begins first and ends last; what ends between has its own id.
    scene.world.history().turn_page();
    let (shop, gate) = (scene.open("shop"), Gate::shut());
    let mut annas = tokio::spawn(shop.measures(&ask().traced("anna"), at(&gate)));
    comes_to(&gate, &mut annas).await?;
    shop.note("anna's is under way");
    shop.serve(ask().takes(Duration::from_millis(4)).traced("ben")).await?;
    shop.serve(ask().takes(Duration::from_millis(300)).traced("cem")).await?;
    scene.hand.moves(Duration::from_secs(8));
    gate.open();
    annas.await?;
    shop.note("anna's ends, after 8.304 s");
    let took = [("anna", 8_304), ("ben", 4), ("cem", 300)];
    let took = took.map(|(id, millis)| (id.to_owned(), Duration::from_millis(millis)));
    name_theirs(&shop.scrape()?, &[], &Took::from(took))?;

    // One in each bucket at least, and one without an id behind them.
    scene.world.history().turn_page();
    let (shop, mut took) = (scene.open("shop"), Took::new());
    shop.note("40 more, at random");
    let mut random = scene.world.random();
    for nth in 0..40 {
        let le = BOUNDS.get(nth % 15).copied().unwrap_or(12.0);
        let share = random.random_range(0.9..1.0);
        let id = format!("trace-{nth}");
        took.insert(id.clone(), Duration::from_secs_f64(le * share));
        shop.serves(&ask().takes(took[&id]).traced(&id)).await;
    }
    shop.serves(&ask().takes(Duration::from_millis(30))).await;
    name_theirs(&shop.scrape()?, &[], &took)
}

/// This one, which took so many milliseconds.
fn one(id: &str, millis: u64) -> Took {
    Took::from([(id.to_owned(), Duration::from_millis(millis))])
}

pub(super) async fn latest<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let ask = |route, millis| Ask::of(route).takes(Duration::from_millis(millis));
    let (carts, orders) = ([("http_route", "/cart")], [("http_route", "/orders/{id}")]);
    shop.serve(ask("/cart", 300).traced("anna")).await?;
    shop.serve(ask("/orders/{id}", 310).traced("ben")).await?;
    let scrape = shop.scrape()?;
    name_theirs(&scrape, &carts, &one("anna", 300))?;
    name_theirs(&scrape, &orders, &one("ben", 310))?;
    // The same bucket, a day later. Of the first of them nobody has a trace any more.
    for (id, millis) in [("cem", 320), ("dana", 290)] {
        scene.hand.moves(Duration::from_secs(86_400));
        shop.serve(ask("/cart", millis).traced(id)).await?;
        let scrape = shop.scrape()?;
        name_theirs(&scrape, &carts, &one(id, millis))?;
        name_theirs(&scrape, &orders, &one("ben", 310))?;
    }
    Ok(())
}

pub(super) async fn odd_ids<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    // What stands in it may have come with a header. And 120 characters, however long in bytes, are
    // those that OpenMetrics allows beside the name.
    let (long, wide) = ("x".repeat(120), "ö".repeat(120));
    for id in ["a\"b", "a\\b", "a\nb", "a\"} 1 # {", "köln", &long, &wide] {
        scene.world.history().turn_page();
        let shop = scene.open("shop");
        shop.serve(Ask::of("/cart").takes(Duration::from_millis(300)).traced(id)).await?;
        name_theirs(&shop.scrape()?, &[], &one(id, 300))?;
    }
    Ok(())
}

pub(super) async fn at_the_end<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let ask = Ask::of("/checkout");
    // Who it is has been found out while it was served.
    let (shop, gate) = (scene.open("shop"), Gate::shut());
    let mut annas = shop.measures_bare(&ask, at(&gate));
    tokio::select! {
        came = gate.arrived(1, SOON) => came?,
        _ = as_work_of("nobody", &mut annas) => {
            return Err(Finding::inconclusive("the request ended before its work"));
        }
    }
    shop.note("a checkout of nobody's is under way");
    scene.hand.moves(Duration::from_millis(300));
    gate.open();
    as_work_of("anna", annas).await;
    shop.note("it ends after 300 ms, and is anna's");
    name_theirs(&shop.scrape()?, &[], &one("anna", 300))?;

    scene.world.history().turn_page();
    let (shop, gate) = (scene.open("shop"), Gate::shut());
    let mut bens = tokio::spawn(shop.measures(&ask.clone().traced("ben"), at(&gate)));
    comes_to(&gate, &mut bens).await?;
    scene.hand.moves(Duration::from_secs(30));
    bens.abort();
    let _ = tokio::time::timeout(SOON, bens).await;
    shop.note("ben hangs up after 30 s");
    name_theirs(&shop.scrape()?, &[], &one("ben", 30_000))?;

    scene.world.history().turn_page();
    let (shop, hand) = (scene.open("shop"), scene.hand.clone());
    let broken = Box::pin(async move {
        tokio::task::yield_now().await;
        hand.moves(Duration::from_secs(3));
        std::panic::resume_unwind(Box::new("the handler's own"))
    });
    let cems = as_work_of("cem", shop.measures_bare(&ask, broken));
    let _ = tokio::spawn(cems).await;
    shop.note("cem's panics after 3 s");
    name_theirs(&shop.scrape()?, &[], &one("cem", 3_000))
}
