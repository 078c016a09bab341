//! Where the id is while a request is worked on, and where it is not.

use super::door::Door;
use super::scene::Scene;
use super::witness::Witness;
use axum::body::Body;
use grading::{Evidence, Finding, SOON, World};
use http::{Request, Response};
use observability::correlation_ids::CorrelationIds;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use testbed::gate::Gate;
use tokio::io::AsyncWriteExt;
use tracing_subscriber::filter::LevelFilter;

/// Says so when it is dropped.
struct OnLeaving(&'static str);

impl Drop for OnLeaving {
    fn drop(&mut self) {
        tracing::info!("{}", self.0);
    }
}

pub(super) async fn every_line<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let door = Door::checkout(|_| async {
        tracing::info!("begins");
        let _leaving = OnLeaving("leaves");
        tokio::task::yield_now().await;
        tracing::debug!("goes on");
        tokio::time::sleep(Duration::from_millis(1)).await;
        tracing::error!("has waited");
        Response::new(Body::empty())
    });
    let door = door.preparing(|| tracing::info!("gets ready")).saying(|| tracing::info!("called"));
    let shop = scene.open("shop", door)?;
    let lines = ["gets ready", "called", "begins", "goes on", "has waited", "leaves"];
    let answer = scene.ask("customer", &shop, "/checkout", &[b"checkout-7"]).await?;
    answer.is("checkout-7")?;
    shop.log.carry("checkout-7", &lines).await?;
    scene.world.history().turn_page();
    let answer = scene.ask("customer", &shop, "/checkout", &[]).await?;
    shop.log.carry(answer.id()?, &lines).await
}

/// The customer's name: the query of their request.
fn name(request: &Request<Body>) -> String {
    request.uri().query().unwrap_or_default().to_owned()
}

pub(super) async fn interleaved<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let gate = || (Gate::shut(), Gate::shut());
    let gates = Arc::new(BTreeMap::from([("anna".to_owned(), gate()), ("ben".to_owned(), gate())]));
    let door = Door::checkout({
        let gates = Arc::clone(&gates);
        move |request| {
            let (gates, name) = (Arc::clone(&gates), name(&request));
            async move {
                tracing::info!("{name} begins");
                if let Some((first, second)) = gates.get(&name) {
                    first.pass().await;
                    tracing::info!("{name} goes on");
                    second.pass().await;
                }
                tracing::info!("{name} ends");
                Response::new(Body::empty())
            }
        }
    });
    let shop = scene.open("shop", door)?;
    let (anna, ben) = (&gates["anna"], &gates["ben"]);
    let asks_anna = scene.ask("anna", &shop, "/checkout?anna", &[b"anna-1"]);
    let asks_ben = async {
        anna.0.arrived(1, SOON).await?;
        let answer = scene.ask("ben", &shop, "/checkout?ben", &[b"ben-2"]).await?;
        anna.1.open();
        Ok::<_, Finding>(answer)
    };
    // On one thread, in turns: anna begins, and ben; anna goes on, and ben; ben ends, and anna.
    let turns = async {
        ben.0.arrived(1, SOON).await?;
        anna.0.open();
        anna.1.arrived(1, SOON).await?;
        ben.0.open();
        ben.1.arrived(1, SOON).await?;
        ben.1.open();
        Ok::<(), Finding>(())
    };
    let answers = tokio::try_join!(asks_anna, asks_ben, turns);
    // What stands in the log tells more than that somebody was not answered.
    shop_lines(&shop.log, &["anna", "ben"]).await?;
    let (anna, ben, ()) = answers?;
    anna.is("anna-1")?;
    ben.is("ben-2")
}

async fn shop_lines(log: &super::log::Log, names: &[&str]) -> Result<(), Finding> {
    for line in log.lines() {
        let Some(name) = names.iter().find(|name| line.message.starts_with(**name)) else {
            continue;
        };
        let id = if *name == "anna" { "anna-1" } else { "ben-2" };
        log.carry(id, &[&line.message]).await?;
    }
    Ok(())
}

pub(super) async fn nowhere_else<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let gate = Gate::shut();
    let door = Door::checkout({
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                tracing::info!("begins");
                gate.pass().await;
                tracing::info!("ends");
                Response::new(Body::empty())
            }
        }
    });
    let shop = scene.open("shop", door)?;
    shop.run(async { tracing::info!("opens") }).await?;
    shop.log.nobodys(&["opens"]).await?;
    let asks = scene.ask("customer", &shop, "/checkout", &[b"checkout-7"]);
    let meanwhile = async {
        gate.arrived(1, SOON).await?;
        shop.run(async { tracing::info!("cleans up meanwhile") }).await?;
        gate.open();
        Ok::<(), Finding>(())
    };
    let (answer, ()) = tokio::try_join!(asks, meanwhile)?;
    shop.run(async { tracing::info!("cleans up afterwards") }).await?;
    shop.log.carry("checkout-7", &["begins", "ends"]).await?;
    shop.log.nobodys(&["cleans up meanwhile", "cleans up afterwards"]).await?;
    let current = scene.subject.current;
    let left = shop.run(async move { current() }).await?;
    match left.or_else(current) {
        None => answer.is("checkout-7"),
        Some(id) => {
            let saw = scene.names.of(&id);
            Err(Evidence::new("no current id outside of any request", saw).into())
        }
    }
}

pub(super) async fn unwinding<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let door = Door::checkout(|request| async move {
        let _leaving = OnLeaving("is left by a panic");
        tokio::task::yield_now().await;
        if name(&request) == "broken" {
            panic!("the service's own");
        }
        tracing::info!("works");
        Response::new(Body::empty())
    });
    let shop = scene.open("shop", door)?;
    // It has no answer to give.
    let _ = scene.ask("anna", &shop, "/checkout?broken", &[b"anna-1"]).await;
    shop.log.carry("anna-1", &["is left by a panic"]).await?;
    shop.run(async { tracing::info!("goes on with its work") }).await?;
    shop.log.nobodys(&["goes on with its work"]).await?;
    let answer = scene.ask("ben", &shop, "/checkout", &[b"ben-2"]).await?;
    shop.log.carry("ben-2", &["works"]).await?;
    answer.is("ben-2")
}

pub(super) async fn hung_up_on<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let gate = Gate::shut();
    let door = Door::checkout({
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                let _leaving = OnLeaving("gives the stock back");
                tracing::info!("takes stock");
                gate.pass().await;
                Response::new(Body::empty())
            }
        }
    });
    let shop = scene.open("shop", door)?;
    let lost = |error: std::io::Error| Finding::inconclusive(format!("no connection: {error}"));
    let mut customer = tokio::net::TcpStream::connect(shop.address).await.map_err(lost)?;
    scene.names.given("anna-1");
    let call = scene.world.invoke("anna", "GET /checkout, anna-1");
    let request = b"GET /checkout HTTP/1.1\r\nhost: shop\r\nx-request-id: anna-1\r\n\r\n";
    customer.write_all(request).await.map_err(lost)?;
    if let Err(nobody) = gate.arrived(1, SOON).await {
        let _ = call.unknown("waits");
        return Err(match scene.why_none() {
            why if why.starts_with("the service") => nobody.into(),
            why => Evidence::new("an answer", why).into(),
        });
    }
    let _ = call.unknown("hangs up");
    drop(customer);
    shop.log.carry("anna-1", &["takes stock", "gives the stock back"]).await
}

pub(super) async fn quiet_log<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let witness = Witness::in_scene(&scene);
    let payments = scene.open("payments", witness.door())?;
    let (next, subject) = (Door::to(payments.address), scene.subject);
    let door = Door::checkout(move |_| {
        let next = next.clone();
        async move {
            tracing::info!("begins");
            tracing::warn!("stock is low");
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = http::Uri::from_static("/checkout");
            let _ = (subject.ask)(next, request).await;
            subject.spawn(async { tracing::error!("no mail") });
            Response::new(Body::empty())
        }
    });
    let shop = scene.open_at(LevelFilter::WARN, "shop", door)?;
    let answer = scene.ask("customer", &shop, "/checkout", &[b"checkout-7"]).await?;
    answer.is("checkout-7")?;
    shop.log.carry("checkout-7", &["stock is low", "no mail"]).await?;
    payments.log.carry("checkout-7", &["works"]).await?;
    match shop.log.lines().iter().any(|line| line.message == "begins") {
        true => Err(Finding::inconclusive("the log was not as quiet as it should have been")),
        false => Ok(()),
    }
}
