//! How steps end that do not end well, and what waiting is.

use super::door::{Door, Refused};
use super::scene::{Scene, Tasks, answered};
use futures_util::FutureExt;
use grading::{Evidence, Finding, World, comes_to};
use http::Request;
use observability::spans::{Recorder, Route, Spans};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use testbed::gate::Gate;

pub(super) async fn errors<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let door = Door::works(move || {
        subject.does("reserve", async move {
            let refused = (subject.step)(
                "ask warehouse",
                Box::pin(async {
                    tokio::task::yield_now().await;
                    Err(Refused("no stock"))
                }),
            );
            assert_eq!(refused.await, Err(Refused("no stock")), "a step has to pass on its error");
            // There is another warehouse.
            subject.leaf("ask the other one").await;
        })
    });
    scene.ask("customer", "/buy", door).await?;
    let refused = scene.span("ask warehouse")?;
    scene.failed(&refused, true)?;
    scene.says(&refused, "error.type", Some(std::any::type_name::<Refused>()))?;
    scene.says(&refused, "otel.status_description", Some("no stock"))?;
    scene.says(&refused, "cancelled", None)?;
    for well in ["ask the other one", "reserve", "POST /buy"] {
        let well = scene.span(well)?;
        scene.failed(&well, false)?;
        scene.says(&well, "error.type", None)?;
    }
    Ok(())
}

pub(super) async fn with_its_work<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let door = Door::works(move || async move {
        // As `select!` does, and whoever polls by hand: what has ended is kept, and dropped later.
        let mut step = (subject.step)("ask bank", Box::pin(async { Ok(7) }));
        let mut task = subject.task("count mail", async {});
        let _ = tokio::join!(&mut step, &mut task);
        subject.leaf("afterwards").await;
        drop((step, task));
    });
    scene.ask("customer", "/buy", door).await?;
    let afterwards = scene.span("afterwards")?;
    for name in ["ask bank", "count mail"] {
        let span = scene.span(name)?;
        if span.start + span.duration > afterwards.start {
            let expected = format!("{name} to end with its work, before afterwards begins");
            let saw = "that it ends when its future is dropped";
            return Err(Evidence::new(expected, saw).at(scene.begun(name)).into());
        }
    }
    // A server may keep a request's future, too, as for as long as it sends the answer.
    let recorder = scene.recorder.clone();
    let kept = scene.run(async move {
        let mut request = Request::new(());
        request.extensions_mut().insert(Route("/kept".into()));
        let mut kept = (subject.serve)(Door::works(|| async {}), request);
        let answer = (&mut kept).await;
        let mut ended = recorder.traces().into_iter().flat_map(|trace| trace.spans);
        let has_ended = ended.any(|span| span.name == "GET /kept");
        drop(kept);
        (answer, has_ended)
    });
    let (answer, has_ended) = kept.await?;
    answered(Ok(answer))?;
    let span = scene.span("GET /kept")?;
    if has_ended {
        return Ok(());
    }
    let saw = "that it ends when its future is dropped";
    Err(Evidence::new("GET /kept to end with its answer", saw).at(scene.begun(&span.name)).into())
}

/// Says something when it is dropped.
pub(super) struct OnLeaving(pub(super) &'static str);

impl Drop for OnLeaving {
    fn drop(&mut self) {
        tracing::info!("{}", self.0);
    }
}

pub(super) async fn hung_up<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let (gate, subject) = (Gate::shut(), scene.subject);
    let door = Door::works({
        let gate = gate.clone();
        move || {
            let gate = gate.clone();
            async move {
                let _leaving = OnLeaving("closes the basket");
                subject.leaf("load cart").await;
                let _never_polled = subject.leaf("say goodbye");
                subject
                    .does("take stock", async move {
                        let _leaving = OnLeaving("gives the stock back");
                        gate.pass().await;
                    })
                    .await;
            }
        }
    });
    let mut customer = scene.begin("customer", "/buy", door)?;
    comes_to(&gate, &mut customer).await?;
    customer.abort();
    match customer.await {
        Err(ended) if ended.is_cancelled() => {}
        ended => {
            answered(ended)?;
            return Err(Finding::inconclusive("the request ended before its customer hung up"));
        }
    }
    // The spans of one who has hung up end at once. Nobody else has to come along.
    for name in ["POST /buy", "take stock", "say goodbye"] {
        let span = scene.span(name)?;
        scene.says(&span, "cancelled", Some("true"))?;
        scene.failed(&span, false)?;
    }
    let cart = scene.span("load cart")?;
    scene.says(&cart, "cancelled", None)?;
    scene.tree(&[("take stock", "POST /buy"), ("say goodbye", "POST /buy")])?;
    scene.logged(&scene.span("take stock")?, &["gives the stock back"])?;
    scene.logged(&scene.span("POST /buy")?, &["closes the basket"])
}

pub(super) async fn unwinding<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let door = Door::works(move || async move {
        let never = Gate::shut();
        tokio::join!(
            subject.does("reserve", async move { never.pass().await }),
            subject.does("pay", async {
                // All of them have begun by then.
                tokio::task::yield_now().await;
                panic!("the service's own");
            }),
        );
    });
    let ended = scene.begin("anna", "/anna", door)?.await;
    let is_own = |panic: &(dyn std::any::Any + Send)| {
        panic.downcast_ref::<&str>() == Some(&"the service's own")
    };
    match ended.map_err(tokio::task::JoinError::try_into_panic) {
        Err(Ok(panic)) if is_own(&*panic) => {}
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        _ => return Err(Evidence::new("the service's own panic, passed on", "no panic").into()),
    }
    for (name, panicked) in [("pay", true), ("reserve", false), ("POST /anna", true)] {
        let span = scene.span(name)?;
        scene.failed(&span, panicked)?;
        scene.says(&span, "error.type", panicked.then_some("panic"))?;
        scene.says(&span, "cancelled", (!panicked).then_some("true"))?;
    }
    // The thread is as it was; also where the request itself goes on.
    let left = scene.run(async { Recorder::here() }).await?;
    let door = Door::works(move || async move {
        let pays = subject.does("ben pays", async { panic!("the service's own") });
        let _ = AssertUnwindSafe(pays).catch_unwind().await;
        subject.leaf("apologise").await;
    });
    scene.ask("ben", "/ben", door).await?;
    scene.tree(&[("POST /ben", ""), ("ben pays", "POST /ben"), ("apologise", "POST /ben")])?;
    scene.failed(&scene.span("ben pays")?, true)?;
    scene.failed(&scene.span("POST /ben")?, false)?;
    match left {
        None => Ok(()),
        Some(_) => {
            let saw = "one that the panic has left behind";
            Err(Evidence::new("no current span on the thread", saw).into())
        }
    }
}

pub(super) async fn waiting_is_idle<D: Spans>(world: World) -> Result<(), Finding> {
    /// So long it waits, at least. Nothing depends on how long it is.
    const WAITS: Duration = Duration::from_millis(20);
    let scene = Scene::of::<D>(world)?;
    let (gate, subject) = (Gate::shut(), scene.subject);
    let (mails, tasks) = (Gate::shut(), Tasks::default());
    let door = Door::works({
        let (gate, mails, tasks) = (gate.clone(), mails.clone(), tasks.clone());
        move || {
            let (gate, mails) = (gate.clone(), mails.clone());
            tasks.spawn(subject.task("send mail", async move { mails.pass().await }));
            subject.does("ask bank", async move { gate.pass().await })
        }
    });
    let mut customer = scene.begin("customer", "/buy", door)?;
    comes_to(&gate, &mut customer).await?;
    tasks.come_to(&mails).await?;
    // There is one thread: when it does this, it has left the poll that came to the gate.
    scene.run(async {}).await?;
    let began = Instant::now();
    tokio::time::sleep(WAITS).await;
    let waited = began.elapsed();
    gate.open();
    mails.open();
    answered(customer.await)?;
    tasks.end().await?;
    for name in ["POST /buy", "ask bank", "send mail"] {
        let span = scene.span(name)?;
        if span.idle() < waited {
            let expected = format!("{name} to be idle while it waits at the gate");
            let saw = "it busy: entered, and not left, while nothing was done";
            return Err(Evidence::new(expected, saw).at(scene.begun(name)).into());
        }
    }
    Ok(())
}
