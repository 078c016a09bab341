//! The form of a scrape, and that it fits together.

use super::held::Held;
use super::scene::{Ask, Scene, at};
use super::scrape::Scrape;
use grading::{Finding, SOON, World, comes_to};
use observability::metrics::{ABANDONED, ACTIVE, DURATION, IN_USE, Metrics, WAITING};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use testbed::gate::Gate;

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
    for line in scrape.text.lines().filter(|line| *line != "# EOF") {
        if line.is_empty() {
            return Err(scrape.is_wrong("something in each line", "an empty line"));
        }
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

/// Each series of the requests has its three labels and no other, and the highest bound is `+Inf`.
fn labelled(scrape: &Scrape) -> Result<(), Finding> {
    let three = ["http_route", "http_request_method", "http_response_status_code"];
    for sample in scrape.samples.iter().filter(|sample| sample.name.starts_with(DURATION)) {
        let mut names = sample.labels.keys().filter(|name| *name != "le");
        if let Some(odd) = names.find(|name| !three.contains(&name.as_str())) {
            return Err(scrape.is_wrong("three labels, and no other", format!("the label {odd}")));
        }
        if let Some(missing) = three.iter().find(|name| !sample.labels.contains_key(**name)) {
            return Err(scrape.is_wrong(format!("the label {missing}"), "none of this name"));
        }
        // A label is text: whoever asks for +Inf does not find what is called inf.
        let le = sample.labels.get("le").filter(|le| le.parse() == Ok(f64::INFINITY));
        if let Some(le) = le.filter(|le| *le != "+Inf") {
            return Err(scrape.is_wrong("le=\"+Inf\"", format!("le=\"{le}\"")));
        }
    }
    Ok(())
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
    labelled(&scrape)?;
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
    shop.serve(Ask::of("/cart").traced("anna")).await?;
    let _place = shop.takes_place().await;
    for _ in 0..3 {
        let scrape = shop.scrape()?;
        scrape.is("requests", 3.0, scrape.counted(&[]))?;
        scrape.is("seconds", 2.02, scrape.seconds(&[]))?;
        let within = scrape.buckets(&[]).first().map_or(f64::NAN, |bucket| bucket.count);
        scrape.is("le=\"0.005\"", 1.0, within)?;
        scrape.is("exemplars", 1.0, scrape.exemplars() as f64)?;
        scrape.is(IN_USE, 1.0, scrape.sum(IN_USE, &[]))?;
    }
    Ok(())
}

pub(super) async fn at_zero<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let scrape = shop.scrape()?;
    for name in [IN_USE, WAITING, ABANDONED] {
        if scrape.of(name, &[]).next().is_none() {
            return Err(scrape.is_wrong(format!("{name} at 0"), format!("nothing of {name}")));
        }
        scrape.is(name, 0.0, scrape.sum(name, &[]))?;
    }
    scrape.is(ACTIVE, 0.0, scrape.sum(ACTIVE, &[]))?;
    scrape.is("requests", 0.0, scrape.counted(&[]))
}

pub(super) async fn apart<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let (one, other) = (scene.open("one"), scene.open("other"));
    one.serve(Ask::of("/cart")).await?;
    one.serve(Ask::of("/cart").traced("anna")).await?;
    other.serve(Ask::of("/cart")).await?;
    let _places = (one.takes_place().await, one.takes_place().await);
    // Of the one, somebody has given up, somebody waits, and a request is under way.
    let _ = tokio::time::timeout(Duration::ZERO, one.takes_place()).await;
    let (mut waits, gate) = (one.takes_place(), Gate::shut());
    let _ = tokio::time::timeout(Duration::ZERO, &mut waits).await;
    let mut asks = tokio::spawn(one.measures(&Ask::of("/cart"), at(&gate)));
    comes_to(&gate, &mut asks).await?;
    let (ones, others) = (one.scrape()?, other.scrape()?);
    ones.is("requests of the one", 2.0, ones.counted(&[]))?;
    others.is("requests of the other", 1.0, others.counted(&[]))?;
    for (name, of_the_one) in [(IN_USE, 2.0), (WAITING, 1.0), (ABANDONED, 1.0), (ACTIVE, 1.0)] {
        ones.is(&format!("{name} of the one"), of_the_one, ones.sum(name, &[]))?;
        others.is(&format!("{name} of the other"), 0.0, others.sum(name, &[]))?;
    }
    ones.is("exemplars of the one", 1.0, ones.exemplars() as f64)?;
    others.is("exemplars of the other", 0.0, others.exemplars() as f64)?;
    gate.open();
    asks.await?;
    Ok(())
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
    let held = Held::when_it_asks(shop.serves(&ask)).await?;
    shop.note("is held while it observes another");
    let beside = shop.clone();
    let mut scrapes = tokio::task::spawn_blocking(move || beside.scrape());
    // Who locks before it asks makes the scrape wait. That is slow, and not wrong.
    let early = tokio::time::timeout(SOON, &mut scrapes).await;
    held.goes_on().await?;
    let scrape = match early {
        Ok(scrape) => scrape??,
        Err(_) => scrapes.await??,
    };
    fits(&scrape)?;
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
