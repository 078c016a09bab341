//! What comes from outside, and what is told in return.

use super::door::Door;
use super::scene::{Scene, Service, Subject, is_plain};
use super::witness::Witness;
use axum::body::Body;
use grading::{Evidence, Finding, World};
use http::{Request, StatusCode};
use observability::correlation_ids::{CorrelationIds, LONGEST};

pub(super) async fn made_anew<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let witness = Witness::in_scene(&scene);
    let shop = scene.open("shop", witness.door())?;
    let mut before: Option<String> = None;
    for _ in 0..3 {
        let answer = scene.ask("customer", &shop, "/checkout", &[]).await?;
        let id = answer.id()?;
        shop.log.carry(id, &["works"]).await?;
        witness.saw("shop", &scene, id)?;
        if before.as_deref() == Some(id) {
            let saw = format!("{} again", scene.names.of(id));
            return Err(Evidence::new("another id for another request", saw)
                .at(answer.step)
                .into());
        }
        before = Some(id.to_owned());
    }
    Ok(())
}

pub(super) async fn believed<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let witness = Witness::in_scene(&scene);
    let shop = scene.open("shop", witness.door())?;
    let longest = "x".repeat(LONGEST);
    let plain =
        ["a", "checkout-7", "A.b_C-9", "...", "0199f2c6-4c11-7a63-9a56-0d6a3a1f9b02", &longest];
    for id in plain {
        scene.world.history().turn_page();
        let answer = scene.ask("customer", &shop, "/checkout", &[id.as_bytes()]).await?;
        answer.is(id)?;
        shop.log.carry(id, &["works"]).await?;
        witness.saw("shop", &scene, id)?;
    }
    Ok(())
}

/// What was sent with these lines is not believed, and no part of it becomes an id.
async fn replaced(
    scene: &Scene,
    shop: &Service,
    witness: &Witness,
    sent: &[&[u8]],
) -> Result<(), Finding> {
    scene.world.history().turn_page();
    let texts: Vec<String> = sent.iter().map(|id| String::from_utf8_lossy(id).into()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut first: Option<String> = None;
    for _ in 0..2 {
        let answer = scene.ask("customer", shop, "/checkout", sent).await?;
        let id = answer.is_new(&texts)?;
        shop.log.carry(id, &["works"]).await?;
        witness.saw("shop", scene, id)?;
        // What is mended is the same each time.
        if first.as_deref() == Some(id) {
            let expected = "a new id for each request: what is not plain is not mended";
            let saw = format!("{id:?}, twice");
            return Err(Evidence::new(expected, saw).at(answer.step).into());
        }
        first = Some(id.to_owned());
    }
    Ok(())
}

pub(super) async fn odd_ones<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let witness = Witness::in_scene(&scene);
    let shop = scene.open("shop", witness.door())?;
    let (too_long, huge) = ("x".repeat(LONGEST + 1), "x".repeat(64 * 1024));
    // A header holds no line break. These are what else begins a line, or a field, for some reader.
    let odd: [&[u8]; 19] = [
        b"",
        b"a b",
        b"a\tb",
        "a\u{2028}paid".as_bytes(),
        "a\u{85}paid".as_bytes(),
        "a\u{9b}31m".as_bytes(),
        b"a level=ERROR",
        b"a\",\"level\":\"ERROR",
        b"a,b",
        b"a;b",
        b"a/../b",
        b"a%0ab",
        b"a\\nb",
        b"<b>",
        "na\u{ef}ve".as_bytes(),
        "\u{ff11}\u{ff12}".as_bytes(),
        b"a\xffb",
        too_long.as_bytes(),
        huge.as_bytes(),
    ];
    for id in odd {
        replaced(&scene, &shop, &witness, &[id]).await?;
    }
    Ok(())
}

pub(super) async fn two_headers<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let witness = Witness::in_scene(&scene);
    let shop = scene.open("shop", witness.door())?;
    let several: [&[&[u8]]; 5] = [
        &[b"one", b"two"],
        &[b"one", b"one"],
        &[b"one", b""],
        &[b"a b", b"two"],
        &[b"1", b"2", b"3"],
    ];
    for ids in several {
        replaced(&scene, &shop, &witness, ids).await?;
    }
    Ok(())
}

pub(super) async fn one_on_the_answer<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let witness = Witness::in_scene(&scene);
    // As one that passes on the answer of somebody else does, with all that stands in it.
    let door = witness.answering(StatusCode::OK, &["of-another", "and-another"]);
    let shop = scene.open("shop", door)?;
    let answer = scene.ask("customer", &shop, "/checkout", &[b"checkout-7"]).await?;
    answer.is("checkout-7")?;
    let answer = scene.ask("customer", &shop, "/checkout", &[]).await?;
    let id = answer.is_new(&["of-another", "and-another"])?;
    shop.log.carry(id, &["works"]).await
}

pub(super) async fn every_answer<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let witness = Witness::in_scene(&scene);
    for status in [404, 302, 400, 429, 500, 503] {
        scene.world.history().turn_page();
        let code = StatusCode::from_u16(status).unwrap_or_default();
        let shop = scene.open("shop", witness.answering(code, &[]))?;
        let path = if status == 404 { "/nowhere" } else { "/checkout" };
        let answer = scene.ask("customer", &shop, path, &[b"checkout-7"]).await?;
        if answer.status != code {
            let saw = answer.status.as_str().to_owned();
            let expected = format!("{status}, as the service answered");
            return Err(Evidence::new(expected, saw).at(answer.step).into());
        }
        answer.is("checkout-7")?;
        let answer = scene.ask("customer", &shop, path, &[]).await?;
        answer.is_new(&[])?;
    }
    scene.world.history().turn_page();
    // Of the same clone that was found to be ready; and its error, if that is what comes of it.
    let fails = || Door::new(|_| async { Err("the service's own error".into()) });
    let Subject { serve, ask, .. } = scene.subject;
    for (what, call) in [("serve", serve), ("ask", ask)] {
        let asked = scene.world.invoke("customer", what);
        let (saw, step) = match call(fails(), Request::new(Body::empty())).await {
            Err(error) if error.to_string() == "the service's own error" => {
                asked.fail("the service's own error");
                continue;
            }
            Err(error) => (error.to_string(), asked.fail(error.to_string())),
            Ok(_) => ("an answer".to_owned(), asked.ok("an answer")),
        };
        return Err(Evidence::new("the service's own error, passed on", saw).at(step).into());
    }
    Ok(())
}

pub(super) async fn many_new<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shop = scene.open("shop", Witness::in_scene(&scene).door())?;
    let mut ids = std::collections::BTreeSet::new();
    let serve = scene.subject.serve;
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let many = 300;
    // In a row and without a wire between: some hundred in a millisecond.
    shop.run(async move {
        for _ in 0..many {
            let works = Door::new(|_| async { Ok(http::Response::new(Body::empty())) });
            let answer = serve(works, Request::new(Body::empty())).await;
            let _ = told.send(answer.map(|answer| super::scene::told(answer.headers())));
        }
    })
    .await?;
    while let Some(answer) = tell.recv().await {
        let headers = answer.map_err(|error| Evidence::new("an answer", error.to_string()))?;
        let [id] = &headers[..] else {
            return Err(Evidence::new("one id on each answer", format!("{}", headers.len())).into());
        };
        if !is_plain(id) || !ids.insert(id.clone()) {
            let saw = format!("{id:?}, twice or not plain, among {}", ids.len() + 1);
            return Err(Evidence::new(format!("{many} requests with {many} ids"), saw).into());
        }
    }
    Ok(())
}
