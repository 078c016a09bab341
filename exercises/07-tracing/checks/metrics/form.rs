//! The form of a scrape, and that it fits together.

use super::scene::{Ask, Scene, when_asked};
use super::scrape::Scrape;
use grading::{Finding, SOON, World};
use observability::metrics::{ABANDONED, ACTIVE, DURATION, IN_USE, Metrics, WAITING};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What is said of a family: its type, its unit, its help.
#[derive(Default)]
struct Said<'a> {
    kind: Option<&'a str>,
    unit: Option<&'a str>,
    help: Option<&'a str>,
}

/// Of each family what is said of it; each sample stands in the family that was named last, and in no
/// other.
fn families(scrape: &Scrape) -> Result<BTreeMap<&str, Said<'_>>, Finding> {
    let mut families = BTreeMap::<&str, Said<'_>>::new();
    let mut current = "";
    let mut seen = BTreeSet::new();
    let mut samples = scrape.samples.iter();
    for line in scrape.text.lines().filter(|line| !line.is_empty() && *line != "# EOF") {
        if let Some(said) = line.strip_prefix("# ") {
            let mut words = said.splitn(3, ' ');
            let (word, name) = (words.next(), words.next().unwrap_or_default());
            if name != current && families.contains_key(name) {
                return Err(scrape.is_wrong(format!("{name} in one piece"), line));
            }
            current = name;
            let family = families.entry(name).or_default();
            let slot = match word {
                Some("TYPE") => &mut family.kind,
                Some("UNIT") => &mut family.unit,
                Some("HELP") => &mut family.help,
                _ => return Err(scrape.is_wrong("TYPE, UNIT, HELP or EOF behind a #", line)),
            };
            if slot.replace(words.next().unwrap_or_default()).is_some() {
                return Err(scrape.is_wrong("each said once", line));
            }
            continue;
        }
        let Some(sample) = samples.next() else { break };
        let kind = families.get(current).and_then(|said| said.kind).unwrap_or_default();
        let suffixes: &[&str] = match kind {
            "counter" => &["_total", "_created"],
            "histogram" => &["_bucket", "_count", "_sum", "_created"],
            "info" => &["_info"],
            "" => return Err(scrape.is_wrong("a TYPE before the first sample", line)),
            _ => &[""],
        };
        if !suffixes.iter().any(|suffix| sample.name == format!("{current}{suffix}")) {
            let expected = format!("{current}, a {kind}, to end in {}", suffixes.join(" or "));
            return Err(scrape.is_wrong(expected, line));
        }
        if !seen.insert((&sample.name, &sample.labels)) {
            return Err(scrape.is_wrong("each series once", line));
        }
    }
    Ok(families)
}

pub(super) async fn well_formed<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    shop.serve(Ask::of("/orders/{id}").takes(Duration::from_millis(20))).await?;
    shop.serve(Ask::of("/cart").traced("anna")).await?;
    let _places = (shop.takes_place().await, shop.takes_place().await);
    // Somebody waits, and gives up.
    let waits = tokio::time::timeout(Duration::ZERO, shop.takes_place());
    let _ = waits.await;
    let scrape = shop.scrape()?;
    if !scrape.text.ends_with("# EOF\n") || scrape.text.matches("# EOF\n").count() != 1 {
        let last = scrape.text.lines().next_back().unwrap_or("nothing");
        return Err(scrape.is_wrong("one # EOF, as the last line", last));
    }
    let families = families(&scrape)?;
    let abandoned = ABANDONED.trim_end_matches("_total");
    let all = [
        (DURATION, "histogram"),
        (ACTIVE, "gauge"),
        (IN_USE, "gauge"),
        (WAITING, "gauge"),
        (abandoned, "counter"),
    ];
    for (name, kind) in all {
        let said = families.get(name);
        if said.and_then(|said| said.kind) != Some(kind) {
            let saw = said.and_then(|said| said.kind).unwrap_or("nothing of it");
            return Err(scrape.is_wrong(format!("# TYPE {name} {kind}"), saw));
        }
        if said.and_then(|said| said.help).is_none_or(str::is_empty) {
            return Err(scrape.is_wrong(format!("# HELP {name}, and what it is"), "none"));
        }
    }
    match families.get(DURATION).and_then(|said| said.unit) {
        Some("seconds") => Ok(()),
        other => {
            let saw = other.unwrap_or("none");
            Err(scrape.is_wrong(format!("# UNIT {DURATION} seconds"), saw))
        }
    }
}

pub(super) async fn scraped_twice<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    shop.serve(Ask::of("/orders/{id}").takes(Duration::from_millis(20))).await?;
    shop.serve(Ask::of("/orders/{id}").takes(Duration::from_secs(2))).await?;
    let _place = shop.takes_place().await;
    for _ in 0..3 {
        let scrape = shop.scrape()?;
        scrape.is("requests", 2.0, scrape.counted(&[]))?;
        scrape.is("seconds", 2.02, scrape.seconds(&[]))?;
        let within = scrape.buckets(&[]).first().map_or(f64::NAN, |bucket| bucket.count);
        scrape.is("le=\"0.005\"", 0.0, within)?;
        scrape.is(IN_USE, 1.0, scrape.sum(IN_USE, &[]))?;
    }
    Ok(())
}

pub(super) async fn apart<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let (one, other) = (scene.open("one"), scene.open("other"));
    one.serve(Ask::of("/cart")).await?;
    one.serve(Ask::of("/cart")).await?;
    other.serve(Ask::of("/cart")).await?;
    let _place = one.takes_place().await;
    let (ones, others) = (one.scrape()?, other.scrape()?);
    ones.is("requests of the one", 2.0, ones.counted(&[]))?;
    others.is("requests of the other", 1.0, others.counted(&[]))?;
    others.is("places taken of the other", 0.0, others.sum(IN_USE, &[]))
}

/// Count, sum and the bucket +Inf are those of so many requests of a quarter of a second.
fn fits(scrape: &Scrape) -> Result<f64, Finding> {
    let count = scrape.counted(&[]);
    let buckets = scrape.buckets(&[]);
    let all = buckets.last().map_or(0.0, |bucket| bucket.count);
    scrape.is(&format!("le=\"+Inf\", with a count of {count}"), count, all)?;
    let sum = scrape.seconds(&[]);
    scrape.is(&format!("sum, with a count of {count}"), count / 4.0, sum)?;
    match buckets.windows(2).find(|pair| pair[1].count < pair[0].count) {
        None => Ok(count),
        Some(pair) => {
            let saw = format!("{} of {}, then {}", pair[0].count, pair[0].le, pair[1].count);
            Err(scrape.is_wrong("buckets that rise", saw))
        }
    }
}

pub(super) async fn scraped_meanwhile<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let ask = Ask::of("/cart").takes(Duration::from_millis(250)).traced("anna");
    shop.serve(ask.clone()).await?;
    fits(&shop.scrape()?)?;

    // Whose work is it? The subject asks when it observes, and is held there.
    let (comes, came) = oneshot::channel();
    let (goes_on, waits) = mpsc::channel::<()>();
    let (served, runtime) = (shop.serves(&ask), tokio::runtime::Handle::current());
    let observes = tokio::task::spawn_blocking(move || {
        when_asked(move || {
            let _ = comes.send(());
            let _ = waits.recv();
        });
        runtime.block_on(served)
    });
    if !matches!(tokio::time::timeout(SOON, came).await, Ok(Ok(()))) {
        return Err(Finding::inconclusive("nobody asked whose work it is"));
    }
    shop.note("is held while it observes another");
    let beside = shop.clone();
    let mut scrapes = tokio::task::spawn_blocking(move || beside.scrape());
    // Who locks before it asks makes the scrape wait. That is slow, and not wrong.
    let early = tokio::time::timeout(SOON, &mut scrapes).await;
    let _ = goes_on.send(());
    let scrape = match early {
        Ok(scrape) => scrape??,
        Err(_) => scrapes.await??,
    };
    fits(&scrape)?;
    observes.await?;
    let scrape = shop.scrape()?;
    scrape.is("requests", 2.0, fits(&scrape)?)?;

    // And as it comes: no scrape is less than the one before.
    scene.world.history().turn_page();
    let tasks = (0..2).map(|_| {
        let (shop, ask) = (shop.clone(), ask.clone());
        tokio::spawn(async move {
            for _ in 0..100 {
                shop.serves(&ask).await;
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut before = 2.0;
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        scene.world.history().turn_page();
        let scrape = shop.scrape()?;
        let now = count_of(&scrape)?;
        if now < before {
            return Err(scrape.is_wrong(format!("{before} requests or more"), format!("{now}")));
        }
        before = now;
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await?;
    }
    let scrape = shop.scrape()?;
    scrape.is("requests", 202.0, scrape.counted(&[]))
}

/// As `fits`, but for the sum: while two are served, the clock moves under both of them.
fn count_of(scrape: &Scrape) -> Result<f64, Finding> {
    let count = scrape.counted(&[]);
    let all = scrape.buckets(&[]).last().map_or(0.0, |bucket| bucket.count);
    scrape.is(&format!("le=\"+Inf\", with a count of {count}"), count, all)?;
    Ok(count)
}
