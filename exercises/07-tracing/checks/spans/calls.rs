//! What comes in and what goes out again: passed on as it is, and begun by nobody else.

use super::door::{Door, Refused};
use super::scene::{Scene, answered};
use grading::{Evidence, Finding, World, comes_to};
use http::{HeaderValue, Method, Request, Response, Version};
use observability::spans::{Place, Recorder, Route, SpanId, Spans, TraceId};
use std::sync::{Arc, Mutex, PoisonError};
use testbed::gate::Gate;

/// What only the one who answers has put into an answer.
#[derive(Clone, Debug, PartialEq)]
struct Note(&'static str);

pub(super) async fn passed_on<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let come = Arc::new(Mutex::new(None));
    let door = Door::new({
        let come = Arc::clone(&come);
        move |request| {
            *come.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
            async {
                let mut response = Response::new(());
                *response.version_mut() = Version::HTTP_2;
                response.headers_mut().insert("set-cookie", HeaderValue::from_static("cart=7"));
                response.extensions_mut().insert(Note("from the cache"));
                Ok(response)
            }
        }
    });
    let caller = Place { trace: TraceId(7), span: SpanId(7) };
    let mut request = Request::new(());
    *request.method_mut() = Method::PUT;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = http::Uri::from_static("/carts/7?gift=yes");
    request.headers_mut().insert("cookie", HeaderValue::from_static("cart=7"));
    request.extensions_mut().insert(Route("/carts/{id}".into()));
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(Note("from the router"));
    let answer = scene.send("customer", door, request)?.await?;
    let come = come.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(come) = come else {
        return Err(Evidence::new("the request to come to the service", "that it does not").into());
    };
    let lost = |what: &str| {
        let expected = format!("the service to get the request with its {what}");
        Err(Evidence::new(expected, "it without").into())
    };
    let (extensions, route) = (come.extensions(), Some(Route("/carts/{id}".into())));
    match () {
        () if come.method() != Method::PUT => return lost("method"),
        () if come.uri() != "/carts/7?gift=yes" => return lost("path and query"),
        () if come.version() != Version::HTTP_2 => return lost("version"),
        () if come.headers().get("cookie").is_none() => return lost("headers"),
        () if extensions.get::<Route>() != route.as_ref() => return lost("route"),
        () if extensions.get::<Place>() != Some(&caller) => return lost("caller's place"),
        () if extensions.get::<Note>().is_none() => return lost("extensions"),
        () => {}
    }
    let lost = |what: &str| {
        let expected = format!("the service's answer with its {what}");
        Err(Evidence::new(expected, "it without").into())
    };
    match answer {
        Err(error) => Err(Evidence::new("the service's answer", error.to_string()).into()),
        Ok(answer) if answer.headers().get("set-cookie").is_none() => lost("headers"),
        Ok(answer) if answer.extensions().get::<Note>().is_none() => lost("extensions"),
        Ok(answer) if answer.version() != Version::HTTP_2 => lost("version"),
        Ok(_) => Ok(()),
    }
}

pub(super) async fn within_another<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let told = Arc::new(Mutex::new(None));
    let door = Door::works({
        let told = Arc::clone(&told);
        move || {
            let told = Arc::clone(&told);
            // The shop calls itself, without a wire. Nobody tells the first where it was begun.
            subject.does("call the shop", async move {
                let here = Recorder::here();
                *told.lock().unwrap_or_else(PoisonError::into_inner) = here;
                for (route, caller) in [("/untold", None), ("/told", here)] {
                    let mut request = Request::new(());
                    *request.method_mut() = Method::POST;
                    request.extensions_mut().insert(Route(route.into()));
                    caller.map(|caller| request.extensions_mut().insert(caller));
                    let name = if caller.is_some() { "load told" } else { "load untold" };
                    let door = Door::works(move || subject.leaf(name));
                    let answer = (subject.serve)(door, request).await;
                    assert!(answer.is_ok(), "an answer has to be passed on");
                }
            })
        }
    });
    scene.ask("customer", "/buy", door).await?;
    let Some(here) = told.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return Err(Evidence::new("a current span in a step", "none").into());
    };
    scene.tree(&[
        ("POST /buy", ""),
        ("call the shop", "POST /buy"),
        ("POST /untold", ""),
        ("load untold", "POST /untold"),
        ("POST /told", "call the shop"),
        ("load told", "POST /told"),
    ])?;
    let (buy, untold) = (scene.span("POST /buy")?, scene.span("POST /untold")?);
    if here.trace != buy.place.trace || untold.place.trace != buy.place.trace {
        return Ok(());
    }
    let expected = "POST /untold in a trace of its own";
    let saw = "it in that of POST /buy";
    Err(Evidence::new(expected, saw).at(scene.begun("POST /untold")).into())
}

pub(super) async fn at_the_door<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let door = Door::works(|| async {}).full();
    let answer = scene.begin("anna", "/full", door)?.await?;
    if answer.as_ref().err() != Some(&Refused("no place")) {
        let saw = answer.map_or_else(|error| error.to_string(), |_| "an answer".to_owned());
        return Err(Evidence::new("\"no place\", as the service said", saw).into());
    }
    let full = scene.span("POST /full")?;
    scene.failed(&full, true)?;
    scene.says(&full, "error.type", Some(std::any::type_name::<Refused>()))?;
    scene.says(&full, "cancelled", None)?;

    scene.world.history().turn_page();
    let gate = Gate::shut();
    let door = Door::works(|| async {}).behind(&gate);
    let mut ben = scene.begin("ben", "/queue", door)?;
    comes_to(&gate, &mut ben).await?;
    ben.abort();
    match ben.await {
        Err(ended) if ended.is_cancelled() => {}
        ended => {
            answered(ended)?;
            return Err(Finding::inconclusive("the request ended before its customer hung up"));
        }
    }
    let queue = scene.span("POST /queue")?;
    scene.says(&queue, "cancelled", Some("true"))?;
    scene.failed(&queue, false)?;

    scene.world.history().turn_page();
    // Before there is anything to be polled.
    let door = Door::new(|request| {
        assert!(request.extensions().is_empty(), "the service's own panic");
        async { Ok(Response::new(())) }
    });
    match scene.begin("carla", "/broken", door)?.await.map_err(|ended| ended.is_panic()) {
        Err(true) => {}
        _ => return Err(Evidence::new("the service's own panic, passed on", "no panic").into()),
    }
    let broken = scene.span("POST /broken")?;
    scene.failed(&broken, true)?;
    scene.says(&broken, "error.type", Some("panic"))?;
    scene.says(&broken, "cancelled", None)
}
