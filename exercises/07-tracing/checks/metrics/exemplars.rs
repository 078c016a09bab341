//! From a bucket to a request in it.

use super::scene::{Ask, Scene, Shop, told};
use super::scrape::bound;
use grading::{Finding, World, comes_to};
use http::StatusCode;
use observability::metrics::text::Sample;
use observability::metrics::{BOUNDS, DURATION, Metrics};
use rand::RngExt;
use std::collections::BTreeMap;
use std::time::Duration;
use testbed::gate::Gate;

type Took = BTreeMap<String, Duration>;

/// Every exemplar is of the bucket that it stands at, and every bucket with something in it has one.
fn name_theirs(shop: &Shop, took: &Took) -> Result<(), Finding> {
    let scrape = shop.scrape()?;
    let name = format!("{DURATION}_bucket");
    let mut below = (f64::NEG_INFINITY, 0.0);
    // All requests of a check are of one series, so that its buckets follow each other.
    for Sample { labels, value, exemplar, .. } in scrape.samples.iter().filter(|s| s.name == name) {
        let le = labels.get("le").and_then(|le| le.parse::<f64>().ok()).unwrap_or(f64::NAN);
        let (lower, count_below) = std::mem::replace(&mut below, (le, *value));
        let place = format!("le=\"{}\"", bound(le));
        let Some(exemplar) = exemplar else {
            if *value > count_below {
                return Err(scrape.is_wrong(format!("an exemplar at {place}"), "none"));
            }
            continue;
        };
        let id = exemplar.labels.get("trace_id").cloned().unwrap_or_default();
        let Some(took) = took.get(&id) else {
            let saw = format!("trace_id=\"{}\"", id.chars().take(20).collect::<String>());
            return Err(scrape.is_wrong(format!("a trace of ours at {place}"), saw));
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
    let saw = format!("trace_id=\"{}\"", id.chars().take(20).collect::<String>());
    Err(scrape.is_wrong(format!("no exemplar: {why}"), saw))
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
    let waits = gate.clone();
    let work = Box::pin(async move {
        waits.pass().await;
        StatusCode::OK
    });
    let mut annas = tokio::spawn(shop.measures(&ask().traced("anna"), work));
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
    name_theirs(&shop, &Took::from(took))?;

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
    name_theirs(&shop, &took)
}
