//! Every request is counted, as what it was.

use super::held::Held;
use super::scene::{Ask, Later, Scene, Shop, at};
use futures_util::FutureExt;
use grading::{Evidence, Finding, SOON, World, comes_to};
use http::{Method, StatusCode};
use observability::metrics::{ACTIVE, HUNG_UP, Metrics};
use rand::RngExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use testbed::gate::Gate;

const CODE: &str = "http_response_status_code";

pub(super) async fn every_status<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let ask = || Ask::of("/orders/{id}");
    let mut all =
        vec![(200, 20), (200, 30), (201, 40), (302, 1), (404, 2), (503, 4_000), (504, 8_000)];
    // And some that no list has: a status is any number of three digits.
    let mut random = scene.world.random();
    all.extend([(299, 3), (random.random_range(600..1_000), 5)]);
    for &(status, millis) in &all {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        shop.serve(ask().answered(status).takes(Duration::from_millis(millis))).await?;
    }
    shop.serve(ask().by(Method::POST)).await?;
    shop.serve(Ask::of("/cart")).await?;
    let scrape = shop.scrape()?;
    for code in all.iter().map(|(status, _)| status.to_string()) {
        let labels =
            [(CODE, code.as_str()), ("http_request_method", "GET"), ("http_route", "/orders/{id}")];
        let of = all.iter().filter(|(status, _)| status.to_string() == code);
        let (count, millis) = of.fold((0, 0), |(n, sum), (_, millis)| (n + 1, sum + millis));
        scrape.is(&format!("requests with {code}"), f64::from(count), scrape.counted(&labels))?;
        let seconds = millis as f64 / 1e3;
        scrape.is(&format!("seconds of those with {code}"), seconds, scrape.seconds(&labels))?;
    }
    scrape.is("requests by POST", 1.0, scrape.counted(&[("http_request_method", "POST")]))?;
    scrape.is("requests of /cart", 1.0, scrape.counted(&[("http_route", "/cart")]))?;
    scrape.is("requests", all.len() as f64 + 2.0, scrape.counted(&[]))
}

fn active(shop: &Shop, expected: u32) -> Result<(), Finding> {
    let scrape = shop.scrape()?;
    scrape.is(ACTIVE, f64::from(expected), scrape.sum(ACTIVE, &[]))
}

pub(super) async fn under_way<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let (anna, ben) = (Gate::shut(), Gate::shut());
    let ask = Ask::of("/checkout");
    let mut annas = tokio::spawn(shop.measures(&ask, at(&anna)));
    comes_to(&anna, &mut annas).await?;
    shop.note("anna's checkout is under way");
    active(&shop, 1)?;
    let mut bens = tokio::spawn(shop.measures(&ask, at(&ben)));
    comes_to(&ben, &mut bens).await?;
    shop.note("ben's as well");
    active(&shop, 2)?;
    let scrape = shop.scrape()?;
    scrape.is("requests that have ended", 0.0, scrape.counted(&[]))?;
    ben.open();
    bens.await?;
    shop.note("ben's has ended");
    active(&shop, 1)?;
    anna.open();
    annas.await?;
    shop.note("anna's has ended");
    active(&shop, 0)?;
    let scrape = shop.scrape()?;
    scrape.is("requests that have ended", 2.0, scrape.counted(&[]))
}

pub(super) async fn lasting<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let (shop, gate) = (scene.open("shop"), Gate::shut());
    let ask = Ask::of("/checkout");
    let ended = |requests: f64| {
        active(&shop, 0)?;
        let scrape = shop.scrape()?;
        scrape.is("requests that have ended", requests, scrape.counted(&[]))?;
        scrape.is("their seconds", 2.0 * requests, scrape.seconds(&[]))
    };
    // It may lie in a queue for a place in which to be polled.
    let (mut annas, bens) =
        (shop.measures_bare(&ask, at(&gate)), shop.measures_bare(&ask, at(&gate)));
    shop.note("anna's and ben's are made, and not polled yet");
    scene.hand.moves(Duration::from_secs(5));
    ended(0.0)?;
    tokio::select! {
        came = gate.arrived(1, SOON) => came?,
        _ = &mut annas => return Err(Finding::inconclusive("the request ended before its work")),
    }
    shop.note("after 5 s anna's is polled");
    active(&shop, 1)?;
    scene.hand.moves(Duration::from_secs(2));
    gate.open();
    (&mut annas).await;
    shop.note("after 2 s more it has ended");
    // As `join!` keeps it, until the last of its futures has ended.
    scene.hand.moves(Duration::from_secs(7));
    ended(1.0)?;
    drop(annas);
    shop.note("its future is dropped 7 s later");
    ended(1.0)?;
    drop(bens);
    shop.note("so is ben's, which nobody has polled");
    ended(1.0)
}

pub(super) async fn overtaken<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let ask = Ask::of("/cart").takes(Duration::from_millis(300)).traced("anna");
    shop.serve(ask.clone()).await?;
    let held = Held::when_it_asks(shop.serves(&ask)).await?;
    shop.note("a second one is held while it observes");
    held.overtaken_by(&shop, &ask).await?;
    let scrape = shop.scrape()?;
    scrape.is("requests", 3.0, scrape.counted(&[]))?;
    let all = scrape.buckets(&[]).last().map_or(0.0, |bucket| bucket.count);
    scrape.is("le=\"+Inf\"", 3.0, all)
}

pub(super) async fn hung_up_on<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let gate = Gate::shut();
    let call = scene.world.invoke("shop", "GET /checkout");
    let mut asks = tokio::spawn(shop.measures(&Ask::of("/checkout"), at(&gate)));
    comes_to(&gate, &mut asks).await?;
    scene.hand.moves(Duration::from_secs(30));
    asks.abort();
    // An answer here means that the task has ended, and its future is dropped.
    let _ = tokio::time::timeout(SOON, asks).await;
    call.unknown("the customer hangs up after 30 s");
    active(&shop, 0)?;
    let scrape = shop.scrape()?;
    let code = HUNG_UP.to_string();
    let labels = [(CODE, code.as_str()), ("http_route", "/checkout")];
    scrape.is("requests", 1.0, scrape.counted(&[]))?;
    scrape.is(&format!("requests with {code}"), 1.0, scrape.counted(&labels))?;
    scrape.is("their seconds", 30.0, scrape.seconds(&labels))
}

pub(super) async fn unwinding<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    // The runtime catches it, or a layer that is outside of the metrics.
    for layered in [false, true] {
        scene.world.history().turn_page();
        let (shop, hand) = (scene.open("shop"), scene.hand.clone());
        let call = scene.world.invoke("shop", "GET /checkout");
        let broken: Later<StatusCode> = Box::pin(async move {
            tokio::task::yield_now().await;
            hand.moves(Duration::from_secs(3));
            // Not `panic!`: that would stand in the report, as if the subject had.
            std::panic::resume_unwind(Box::new("the handler's own"))
        });
        let measured = shop.measures_bare(&Ask::of("/checkout"), broken);
        let answered = match layered {
            false => tokio::spawn(measured).await.ok(),
            true => tokio::spawn(caught(measured)).await.ok().flatten(),
        };
        let by = if layered { ", and a layer catches it" } else { "" };
        let step = call.unknown(format!("the handler panics after 3 s{by}"));
        if let Some(answered) = answered {
            let saw = format!("an answer, {}", answered.as_u16());
            return Err(Evidence::new("a panic that is passed on", saw).at(step).into());
        }
        active(&shop, 0)?;
        let scrape = shop.scrape()?;
        let labels = [(CODE, "500"), ("http_route", "/checkout")];
        scrape.is("requests", 1.0, scrape.counted(&[]))?;
        scrape.is("requests with 500", 1.0, scrape.counted(&labels))?;
        scrape.is("their seconds", 3.0, scrape.seconds(&labels))?;
        shop.serve(Ask::of("/checkout")).await?;
        let scrape = shop.scrape()?;
        scrape.is("requests with 200", 1.0, scrape.counted(&[(CODE, "200")]))?;
    }
    Ok(())
}

async fn caught(measured: Later<StatusCode>) -> Option<StatusCode> {
    AssertUnwindSafe(measured).catch_unwind().await.ok()
}
