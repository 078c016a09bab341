//! How many series there are, and what stands in their labels.

use super::held::Held;
use super::scene::{Ask, Scene};
use grading::{Finding, World};
use http::{Method, StatusCode};
use observability::metrics::{LIMIT, METHODS, Metrics, OTHER, OTHER_METHOD, UNMATCHED};
use rand::RngExt;
use std::collections::BTreeSet;

const MANY: usize = 1_000;

pub(super) async fn routes<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let mut random = scene.world.random();
    shop.note(format!("GET /users/… by {MANY} customers"));
    for _ in 0..MANY {
        let path = format!("/users/{:x}", random.random::<u64>());
        shop.serves(&Ask::of("/users/{id}").path(path)).await;
    }
    shop.note(format!("{MANY} paths that there are not"));
    for _ in 0..MANY {
        shop.serves(&Ask::lost(&format!("/{:x}.php", random.random::<u64>()))).await;
    }
    let scrape = shop.scrape()?;
    let routes = scrape.values("http_route");
    let expected = BTreeSet::from(["/users/{id}".to_owned(), UNMATCHED.to_owned()]);
    if routes != expected {
        let some: Vec<_> = routes.iter().take(2).map(String::as_str).collect();
        let more = if routes.len() > 2 { " …" } else { "" };
        let saw = format!("{} routes: {}{more}", routes.len(), some.join(", "));
        return Err(scrape.is_wrong(format!("two routes: /users/{{id}}, {UNMATCHED}"), saw));
    }
    scrape.is("series", 2.0, scrape.series() as f64)?;
    // Of the other metrics as well: two histograms are 34 lines, and the rest is a handful.
    if scrape.samples.len() > 100 {
        let saw = format!("{} lines", scrape.samples.len());
        return Err(scrape.is_wrong("a scrape of at most 100 lines for two routes", saw));
    }
    for route in expected {
        let counted = scrape.counted(&[("http_route", &route)]);
        scrape.is(&format!("requests of {route}"), MANY as f64, counted)?;
    }
    Ok(())
}

pub(super) async fn odd_methods<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let mut random = scene.world.random();
    // Methods are case-sensitive: `get` is not GET.
    let mut odd = vec!["get".to_owned(), "Post".to_owned(), "BREW".to_owned(), "GETS".to_owned()];
    odd.extend((0..10).map(|_| format!("X{:X}", random.random::<u32>())));
    let known: BTreeSet<String> = METHODS.into_iter().map(str::to_owned).collect();
    for method in known.iter().chain(&odd) {
        let method = Method::from_bytes(method.as_bytes());
        let method = method.map_err(|_| Finding::inconclusive("a method that is none"))?;
        shop.serve(Ask::of("/orders").by(method)).await?;
    }
    let scrape = shop.scrape()?;
    let (seen, label) = (scrape.values("http_request_method"), "http_request_method");
    let mut expected = known;
    expected.insert(OTHER_METHOD.to_owned());
    if let Some(strange) = seen.difference(&expected).next() {
        let saw = format!("the method \"{strange}\"");
        return Err(scrape.is_wrong(format!("nine methods, and {OTHER_METHOD}"), saw));
    }
    for method in METHODS {
        scrape.is(&format!("requests by {method}"), 1.0, scrape.counted(&[(label, method)]))?;
    }
    let others = scrape.counted(&[(label, OTHER_METHOD)]);
    scrape.is(&format!("requests by {OTHER_METHOD}"), odd.len() as f64, others)
}

pub(super) async fn limit<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let many = LIMIT + 100;
    let route = |nth: usize| Ask::of(&format!("/tenants/{nth}"));
    shop.note(format!("a request of each of {many} routes"));
    for nth in 0..many {
        shop.serves(&route(nth)).await;
    }
    let first = shop.scrape()?;
    if first.series() > LIMIT + 1 {
        let saw = format!("{} series", first.series());
        return Err(first.is_wrong(format!("at most {LIMIT} series and one more"), saw));
    }
    first.is("requests", many as f64, first.counted(&[]))?;
    let names = ["http_route", "http_request_method", "http_response_status_code"];
    let rest = names.map(|name| (name, OTHER));
    first.is("requests of the rest", 100.0, first.counted(&rest))?;
    // Who has a series keeps it. But a method or a status makes another one, also of that route.
    let post = route(1).by(Method::POST);
    for ask in [route(0), route(many), post, route(2).answered(StatusCode::NOT_FOUND)] {
        shop.serve(ask).await?;
    }
    let then = shop.scrape()?;
    then.is("requests of /tenants/0", 2.0, then.counted(&[("http_route", "/tenants/0")]))?;
    then.is("requests of the rest", 103.0, then.counted(&rest))?;
    then.is("series", (LIMIT + 1) as f64, then.series() as f64)?;
    then.is("requests", (many + 4) as f64, then.counted(&[]))
}

pub(super) async fn last_place<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop");
    let route = |nth: usize| Ask::of(&format!("/tenants/{nth}")).traced("anna");
    shop.note(format!("a request of each of {} routes", LIMIT - 1));
    for nth in 1..LIMIT {
        shop.serves(&route(nth)).await;
    }
    let held = Held::when_it_asks(shop.serves(&route(LIMIT))).await?;
    shop.note("the next is held while it observes");
    held.overtaken_by(&shop, &route(LIMIT + 1)).await?;
    let scrape = shop.scrape()?;
    scrape.is("series", (LIMIT + 1) as f64, scrape.series() as f64)?;
    scrape.is("requests of the rest", 1.0, scrape.counted(&[("http_route", OTHER)]))?;
    scrape.is("requests", (LIMIT + 1) as f64, scrape.counted(&[]))
}

pub(super) async fn escaped<D: Metrics>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    for odd in
        ["/a\"b", "/a\\b", "/a\nb", "/a\\nb", "/a\tb", "/a}b{", "/a,b=\"c\"", "/köln # 1", "/a\\"]
    {
        scene.world.history().turn_page();
        let shop = scene.open("shop");
        shop.serve(Ask::of(odd)).await?;
        let scrape = shop.scrape()?;
        let seen = scrape.values("http_route");
        if seen != BTreeSet::from([odd.to_owned()]) {
            let saw: Vec<String> = seen.iter().map(|route| format!("{route:?}")).collect();
            let saw = if saw.is_empty() { "no route".to_owned() } else { saw.join(", ") };
            return Err(scrape.is_wrong(format!("the route {odd:?}"), saw));
        }
    }
    Ok(())
}
