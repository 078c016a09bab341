//! What the next service is told.

use super::door::Door;
use super::scene::Scene;
use super::witness::Witness;
use axum::body::Body;
use grading::{Evidence, Finding, World};
use http::{HeaderValue, Request, Response};
use observability::correlation_ids::{CorrelationIds, REQUEST_ID};

pub(super) fn to_checkout() -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/checkout");
    request
}

pub(super) async fn passed_on<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let (witness, subject) = (Witness::in_scene(&scene), scene.subject);
    let orders = scene.open("orders", witness.door())?;
    let next = Door::to(orders.address).saying(|| tracing::info!("asks orders"));
    let door = Door::checkout(move |request| {
        let next = next.clone();
        async move {
            // As gateways do: all that came goes on, and something old is among it.
            let mut on = to_checkout();
            for id in request.headers().get_all(REQUEST_ID) {
                on.headers_mut().append(REQUEST_ID, id.clone());
            }
            on.headers_mut().append(REQUEST_ID, HeaderValue::from_static("of-yesterday"));
            (subject.ask)(next, on).await.unwrap_or_else(|_| Response::new(Body::empty()))
        }
    });
    let gateway = scene.open("gateway", door)?;
    for sent in [&[b"checkout-7".as_slice()][..], &[], &[b"a b"], &[b"one", b"two"]] {
        scene.world.history().turn_page();
        let answer = scene.ask("customer", &gateway, "/checkout", sent).await?;
        let id = answer.id()?;
        gateway.log.carry(id, &["asks orders"]).await?;
        witness.saw("orders", &scene, id)?;
        orders.log.carry(id, &["works"]).await?;
    }
    Ok(())
}

pub(super) async fn asked_in_a_bare_task<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let (witness, subject) = (Witness::in_scene(&scene), scene.subject);
    let orders = scene.open("orders", witness.door())?;
    let next = Door::to(orders.address)
        .preparing(|| tracing::info!("connects"))
        .saying(|| tracing::info!("asks orders"));
    let door = Door::checkout(move |_| {
        // A race of two copies, say, of which the faster answer counts.
        let answer = tokio::spawn((subject.ask)(next.clone(), to_checkout()));
        async move {
            let _ = answer.await;
            Response::new(Body::empty())
        }
    });
    let gateway = scene.open("gateway", door)?;
    let answer = scene.ask("customer", &gateway, "/checkout", &[b"checkout-7"]).await?;
    orders.log.carry("checkout-7", &["works"]).await?;
    witness.saw("orders", &scene, "checkout-7")?;
    gateway.log.carry("checkout-7", &["connects", "asks orders"]).await?;
    answer.is("checkout-7")
}

pub(super) async fn asked_for_nobody<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let ask = scene.subject.ask;
    // Not behind the subject's own door, which would make an id where none is.
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let next = Door::new(move |request| {
        let _ = told.send(super::scene::told(request.headers()));
        async { Ok(Response::new(Body::empty())) }
    });
    for own in [&[][..], &["of-a-job"]] {
        let mut request = to_checkout();
        for id in own {
            request.headers_mut().append(REQUEST_ID, HeaderValue::from_static(id));
        }
        let call = scene.world.invoke("job", format!("asks, with {} ids", own.len()));
        let answer = ask(next.clone(), request).await;
        let step = call.ok("an answer");
        answer.map_err(|error| Evidence::new("an answer", error.to_string()))?;
        let heard = heard.recv().await.unwrap_or_default();
        if heard != own {
            let expected = "a request of nobody's to go out as it is";
            let saw = format!("x-request-id: {}", heard.join(" and "));
            return Err(Evidence::new(expected, saw).at(step).into());
        }
    }
    Ok(())
}
