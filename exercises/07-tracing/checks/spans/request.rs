//! The span of a request itself.

use super::door::{Door, Refused};
use super::scene::{Scene, answered};
use super::witness::{Heard, LANE};
use grading::{Evidence, Finding, World};
use http::{Method, Request, Response, StatusCode};
use observability::spans::{Finished, Kind, METHODS, Place, Route, SpanId, Spans, TraceId};
use tracing::Level;
use tracing::dispatcher::{Dispatch, with_default};
use tracing_subscriber::filter::LevelFilter;

fn request(method: &Method, route: Option<&str>) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method.clone();
    *request.uri_mut() = http::Uri::from_static("/orders/4711?card=4000");
    if let Some(route) = route {
        request.extensions_mut().insert(Route(route.into()));
    }
    request
}

pub(super) async fn the_request<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let odd = Method::from_bytes(b"X-4711").unwrap_or_default();
    let asked = [
        (Method::POST, Some("/orders/{id}"), "POST /orders/{id}", "POST"),
        (Method::GET, None, "GET", "GET"),
        (odd.clone(), Some("/orders"), "HTTP /orders", "_OTHER"),
        (odd, None, "HTTP", "_OTHER"),
        // Method names are told apart by case: this is none of the nine.
        (Method::from_bytes(b"get").unwrap_or_default(), Some("/c"), "HTTP /c", "_OTHER"),
    ];
    let known = METHODS.map(|method| {
        let name = format!("{method} /orders");
        (Method::from_bytes(method.as_bytes()).unwrap_or_default(), Some("/orders"), name, method)
    });
    let asked = asked.map(|(method, route, name, told)| (method, route, name.to_owned(), told));
    for (method, route, name, told) in asked.into_iter().chain(known) {
        let name = &name;
        scene.world.history().turn_page();
        let door = Door::works(|| async {});
        answered(scene.send("customer", door, request(&method, route))?.await)?;
        let span = scene.span(name)?;
        scene.hangs(&span, None)?;
        scene.says(&span, "http.request.method", Some(told))?;
        scene.says(&span, "http.route", route)?;
        scene.says(&span, "http.response.status_code", Some("200"))?;
        if span.kind != Kind::Server {
            let saw = format!("{:?}", span.kind);
            let expected = format!("{name} with otel.kind = server");
            return Err(Evidence::new(expected, saw).at(scene.begun(name)).into());
        }
        scene.failed(&span, false)?;
        nothing_chosen(&scene, &span)?;
    }
    Ok(())
}

/// Of the path, and of a method that is unknown, nothing is told; nor in what is logged.
fn nothing_chosen(scene: &Scene, span: &Finished) -> Result<(), Finding> {
    let lines = span.events.iter();
    let logged = lines.flat_map(|line| {
        let said = ("a line of the log".to_owned(), line.message.clone());
        let fields = line.attributes.iter().map(|(of, value)| (of.to_string(), value.clone()));
        std::iter::once(said).chain(fields)
    });
    let told = span.attributes.iter().map(|(of, value)| (of.to_string(), value.clone()));
    let chosen = |(_, text): &(String, String)| text.contains("4711") || text.contains("4000");
    let Some((of, value)) = told.chain(logged).find(chosen) else { return Ok(()) };
    let expected = "nothing that a client may choose freely";
    let saw = format!("{of} = {value}");
    Err(Evidence::new(expected, saw).at(scene.begun(&span.name)).into())
}

pub(super) async fn failed_or_not<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let statuses: [(u16, &'static str); 10] = [
        (200, "/a"),
        (302, "/b"),
        (400, "/c"),
        (404, "/d"),
        (429, "/e"),
        (499, "/f"),
        (500, "/g"),
        (501, "/h"),
        (503, "/i"),
        (599, "/j"),
    ];
    for (code, route) in statuses {
        scene.world.history().turn_page();
        let door = Door::new(move |_| async move {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
            Ok(response)
        });
        let answer = scene.send("customer", door, request(&Method::POST, Some(route)))?.await?;
        let status = answer.map(|answer| answer.status().as_u16());
        if status != Ok(code) {
            return Err(Evidence::new(format!("{code}"), format!("{status:?}")).into());
        }
        let span = scene.span(&format!("POST {route}"))?;
        let text = code.to_string();
        scene.says(&span, "http.response.status_code", Some(&text))?;
        scene.failed(&span, code >= 500)?;
        scene.says(&span, "error.type", (code >= 500).then_some(&*text))?;
        scene.says(&span, "cancelled", None)?;
        nothing_chosen(&scene, &span)?;
    }
    scene.world.history().turn_page();
    let fails = Door::new(|_| async { Err(Refused("the service's own error")) });
    let answer = scene.begin("customer", "/broken", fails)?.await?;
    if answer.as_ref().err() != Some(&Refused("the service's own error")) {
        let saw = answer.map_or_else(|error| error.to_string(), |_| "an answer".to_owned());
        return Err(Evidence::new("the service's own error, passed on", saw).into());
    }
    let span = scene.span("POST /broken")?;
    scene.failed(&span, true)?;
    scene.says(&span, "error.type", Some(std::any::type_name::<Refused>()))
}

pub(super) async fn known_later<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    // A router inside, which finds out where the request belongs.
    let door = Door::works(|| async {
        tokio::task::yield_now().await;
        let span = tracing::Span::current();
        span.record("http.route", "/late/{id}");
        span.record("otel.name", "POST /late/{id}");
    });
    answered(scene.send("customer", door, request(&Method::POST, None))?.await)?;
    let ended = scene.ended();
    let Some(span) = ended.first() else {
        return Err(Evidence::new("a span of the request", "none").into());
    };
    let at = scene.world.history().last(LANE, "+ ");
    if span.name != "POST /late/{id}" {
        let saw = format!("{}, whatever was recorded into the current span", span.name);
        return Err(Evidence::new("the name POST /late/{id}", saw).at(at).into());
    }
    scene.says(span, "http.route", Some("/late/{id}"))?;
    scene.says(span, "http.response.status_code", Some("200"))
}

pub(super) async fn quiet_log<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::quieter::<D>(world, LevelFilter::WARN, Level::INFO)?;
    let subject = scene.subject;
    let door = move || {
        Door::works(move || async move {
            subject.leaf("load cart").await;
            let sent = tokio::spawn(subject.task("send mail", async {}));
            let hashed = tokio::task::spawn_blocking(subject.job("hash", || {}));
            assert_eq!((sent.await.ok(), hashed.await.ok()), (Some(7), Some(7)), "work was lost");
        })
    };
    scene.ask("customer", "/buy", door()).await?;
    scene.tree(&[
        ("POST /buy", ""),
        ("load cart", "POST /buy"),
        ("send mail", "POST /buy"),
        ("hash", "POST /buy"),
    ])?;
    let of_other_level = |heard: &Heard| {
        ["POST /buy", "load cart", "send mail", "hash"].contains(&&*heard.name)
            && heard.level != Level::INFO
    };
    if let Some(heard) = scene.witness.heard().into_iter().find(of_other_level) {
        let expected = format!("{} to be a span of level INFO", heard.name);
        let saw = format!("it of level {}", heard.level);
        return Err(Evidence::new(expected, saw).at(scene.begun(&heard.name)).into());
    }
    // Where nobody listens at all.
    let serve = subject.serve;
    let alone = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let work = async move { serve(door(), request(&Method::POST, None)).await };
        runtime.map(|runtime| with_default(&Dispatch::none(), || runtime.block_on(work)))
    });
    match alone.await? {
        Err(error) => Err(Finding::inconclusive(format!("no runtime: {error}"))),
        Ok(answer) => answered(Ok(answer)),
    }
}

pub(super) async fn from_elsewhere<D: Spans>(world: World) -> Result<(), Finding> {
    use rand::RngExt;
    let mut random = world.random();
    let caller = Place {
        trace: TraceId(random.random_range(1..=u128::MAX)),
        span: SpanId(random.random_range(1..=u64::MAX)),
    };
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let door = Door::works(move || async move {
        subject.leaf("load cart").await;
        let sent = tokio::spawn(subject.task("send mail", async {}));
        let _ = sent.await;
    });
    let mut request = request(&Method::POST, Some("/buy"));
    request.extensions_mut().insert(caller);
    answered(scene.send("customer", door, request)?.await)?;
    let span = scene.span("POST /buy")?;
    if span.parent != Some(caller.span) || span.place.trace != caller.trace {
        let saw = match span.parent {
            None => "it beneath nothing",
            Some(parent) if parent == caller.span => "it beneath the caller, in a trace of its own",
            Some(_) => "it beneath another",
        };
        let expected = "POST /buy beneath the place that the caller has told";
        return Err(Evidence::new(expected, saw).at(scene.begun(&span.name)).into());
    }
    scene.tree(&[("load cart", "POST /buy"), ("send mail", "POST /buy")])?;
    match scene.recorder.find(caller.trace).map(|trace| trace.spans.len()) {
        Some(3) => Ok(()),
        found => Err(Evidence::new("3 spans in the caller's trace", format!("{found:?}")).into()),
    }
}
