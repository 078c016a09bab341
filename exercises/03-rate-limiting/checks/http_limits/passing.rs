//! What happens to the request, and to the service behind the limit.

use super::scene::{Ask, Scene};
use super::shop::{Broken, Shop};
use grading::{Evidence, Finding, SOON, World};
use http::{Response, StatusCode};
use rate_limiting::http_limits::{Handler, HttpLimits, Proxies};
use std::time::Duration;
use testbed::gate::Gate;

pub(super) async fn asked_first<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    scene.says_no(Some(Duration::from_millis(1_500)));
    let answer = scene.ask(&mut door, Ask::plain()).await?;
    if scene.shop.served() > 0 {
        let serves = scene.world.history().last("shop", "serves");
        let expected = "a refused request to cost the service nothing";
        return Err(Evidence::new(expected, "it was served").at(serves).at(answer.step).into());
    }
    scene.script.take_asked();

    scene.world.history().turn_page();
    scene.says_yes(5);
    // A second question would be answered, and seen.
    scene.says_yes(4);
    let answer = scene.passes(&mut door, Ask::plain()).await?;
    let asked = scene.script.take_asked().len();
    if asked != 1 {
        let told = format!("{asked} times");
        return Err(answer.saw("the limiter to be asked once", told));
    }
    if scene.shop.served() != 1 {
        return Err(answer.saw("one request", format!("{} were served", scene.shop.served())));
    }
    let asks = scene.world.history().last("limiter", "→");
    let serves = scene.world.history().last("shop", "serves");
    match asks < serves {
        true => Ok(()),
        false => {
            let evidence = Evidence::new("the limiter's word before the work", "after it");
            Err(evidence.at(serves).at(asks).into())
        }
    }
}

pub(super) async fn ready_one_is_called<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    scene.shop = Shop::open(scene.world.history().clone(), 1);
    let mut door = scene.door::<S>(Proxies::default());
    for remaining in [3, 2, 1] {
        scene.says_yes(remaining);
        scene.passes(&mut door, Ask::plain()).await?;
    }
    // What is not limited goes the same way.
    scene.passes(&mut door, Ask { cost: None, ..Ask::plain() }).await.map(drop)
}

pub(super) async fn place_given_back<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    scene.shop = Shop::open(scene.world.history().clone(), 1);
    let door = scene.door::<S>(Proxies::default());
    let mut refused = door.clone();
    scene.says_no(Some(Duration::from_secs(1)));
    let answer = scene.ask(&mut refused, Ask::plain()).await?;
    if answer.status == StatusCode::OK {
        return Err(answer.not("a refusal, for the limiter said no"));
    }
    // The refused connection stays open, and somebody else comes in on another.
    let mut next = door.clone();
    scene.says_yes(1);
    scene.passes(&mut next, Ask::from([192, 0, 2, 1])).await?;
    drop(refused);
    Ok(())
}

pub(super) async fn passed_on<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    scene.says_yes(5);
    let said = Response::builder()
        .status(StatusCode::ACCEPTED)
        .header("x-shop", "kept")
        .header("ratelimit", "\"the-shops-own\";r=1;t=1")
        .header("ratelimit-policy", "\"the-shops-own\";q=1;w=1")
        .header("retry-after", "120")
        .body("what the shop said".to_owned())
        .expect("an answer");
    scene.shop.counter().answers.push_back(Ok(said));
    let ask = Ask { path: "/products?page=2".into(), ..Ask::plain() };
    let answer = scene.ask(&mut door, ask.header("accept", "text/plain")).await?;
    {
        let counter = scene.shop.counter();
        let Some(request) = counter.served.first() else {
            return Err(answer.not("the service to be asked"));
        };
        let query = request.uri().query().unwrap_or_default();
        let accept = request.headers().contains_key("accept");
        let known = request.extensions().get::<Ask>().is_some();
        for (whole, what) in [
            (request.method() == "POST", "its method"),
            (query == "page=2", "its query"),
            (accept, "its headers"),
            (known, "its extensions, in which a server keeps who is asking"),
            (request.body() == "what the client sent", "its body"),
        ] {
            if !whole {
                let expected = "the request to arrive as it was sent";
                return Err(answer.saw(expected, format!("{what}: lost")));
            }
        }
    }
    let whole = answer.status == StatusCode::ACCEPTED
        && answer.text("x-shop") == Some("kept")
        && answer.text("retry-after") == Some("120")
        && answer.body == "what the shop said";
    if !whole {
        return Err(answer.not("the service's answer, with two fields more"));
    }
    for field in ["ratelimit", "ratelimit-policy"] {
        answer.field(field, "the-shops-own")?;
        answer.field(field, scene.policy.name())?;
    }

    scene.world.history().turn_page();
    scene.says_yes(4);
    scene.shop.counter().answers.push_back(Err(Broken("the shop's own error")));
    if let Ok(answer) = scene.ask(&mut door, Ask::plain()).await {
        return Err(answer.not("the service's own error, passed on"));
    }
    side_by_side(&scene, door).await
}

/// One whose answer is slow, and while it waits another: nobody waits for somebody else's answer.
async fn side_by_side(
    scene: &Scene,
    door: impl Handler<String, String, Error = Broken>,
) -> Result<(), Finding> {
    scene.world.history().turn_page();
    let gate = Gate::shut();
    let (mut first, mut second) = (door.clone(), door);
    scene.shop.counter().slow = Some(gate.clone());
    scene.says_yes(3);
    let slow = scene.passes(&mut first, Ask { path: "/slow".into(), ..Ask::plain() });
    let quick = async {
        gate.arrived(1, SOON).await?;
        scene.says_yes(2);
        let answer = tokio::time::timeout(SOON, scene.passes(&mut second, Ask::plain())).await;
        gate.open();
        answer.map_err(|_| {
            let expected = "an answer, while the service works on another's";
            let asks = scene.world.history().last("client", "/shelf");
            Finding::from(Evidence::new(expected, format!("nothing within {SOON:?}")).at(asks))
        })?
    };
    let (slow, quick) = tokio::join!(slow, quick);
    quick.and(slow).map(drop)
}
