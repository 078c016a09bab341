//! What is stopped before its end, or before its beginning, though nobody has hung up.

use super::door::Door;
use super::ends::OnLeaving;
use super::scene::Scene;
use grading::{Evidence, Finding, World, comes_to};
use http::{Method, Request};
use observability::spans::{Recorder, Route, Spans};
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use testbed::gate::Gate;
use tokio::task::JoinHandle;

/// What goes on by itself, and can be stopped.
type Task = Arc<Mutex<Option<JoinHandle<u32>>>>;

fn put(task: &Task, handle: JoinHandle<u32>) {
    *task.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
}

fn take(task: &Task) -> Result<JoinHandle<u32>, Finding> {
    let taken = task.lock().unwrap_or_else(PoisonError::into_inner).take();
    taken.ok_or_else(|| Finding::inconclusive("nobody has begun the task that was to be stopped"))
}

pub(super) async fn stopped_tasks<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let (gate, subject) = (Gate::shut(), scene.subject);
    let (mail, count) = (Task::default(), Task::default());
    let door = Door::works({
        let (gate, mail, count) = (gate.clone(), Arc::clone(&mail), Arc::clone(&count));
        move || {
            let (gate, mail, count) = (gate.clone(), Arc::clone(&mail), Arc::clone(&count));
            async move {
                let sends = subject.task("send mail", async move {
                    let _leaving = OnLeaving("lets go of the mail");
                    gate.pass().await;
                });
                put(&mail, tokio::spawn(sends));
                let counts = subject.task("count mail", async {
                    tokio::task::yield_now().await;
                    panic!("the task's own");
                });
                put(&count, tokio::spawn(counts));
            }
        }
    });
    scene.ask("customer", "/buy", door).await?;
    // The request has been answered. As where the service is shut down: nobody asks what waits.
    let (mut mail, count) = (take(&mail)?, take(&count)?);
    comes_to(&gate, &mut mail).await?;
    mail.abort();
    if !mail.await.is_err_and(|ended| ended.is_cancelled()) {
        return Err(Finding::inconclusive("the task ended before it was stopped"));
    }
    let is_own = |panic: &(dyn Any + Send)| panic.downcast_ref::<&str>() == Some(&"the task's own");
    match count.await.map_err(tokio::task::JoinError::try_into_panic) {
        Err(Ok(panic)) if is_own(&*panic) => {}
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        _ => return Err(Evidence::new("the task's own panic, passed on", "no panic").into()),
    }
    let left = scene.run(async { Recorder::here() }).await?;
    scene.tree(&[("send mail", "POST /buy"), ("count mail", "POST /buy")])?;
    let (mail, count, root) =
        (scene.span("send mail")?, scene.span("count mail")?, scene.span("POST /buy")?);
    for (span, panicked, stopped) in
        [(&mail, false, true), (&count, true, false), (&root, false, false)]
    {
        scene.failed(span, panicked)?;
        scene.says(span, "error.type", panicked.then_some("panic"))?;
        scene.says(span, "cancelled", stopped.then_some("true"))?;
    }
    scene.logged(&mail, &["lets go of the mail"])?;
    match left {
        None => Ok(()),
        Some(_) => {
            let saw = "one that a task has left behind";
            Err(Evidence::new("no current span on the thread", saw).into())
        }
    }
}

pub(super) async fn never_begun<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    // As where a `select!` has its answer already: what it was given is dropped, and never polled.
    scene
        .run(async move {
            let mut request = Request::new(());
            *request.method_mut() = Method::POST;
            request.extensions_mut().insert(Route("/anna".into()));
            drop((subject.serve)(Door::works(|| async {}), request));
        })
        .await?;
    let door = Door::works(move || async move {
        let mail = OnLeaving("lets go of the mail");
        drop(subject.task("send mail", async move { drop(mail) }));
        let cart = OnLeaving("lets go of the cart");
        drop(subject.does("load cart", async move { drop(cart) }));
        let hash = OnLeaving("lets go of the hash");
        drop(subject.job("hash", move || drop(hash)));
    });
    scene.ask("ben", "/ben", door).await?;
    for name in ["POST /anna", "send mail", "load cart", "hash"] {
        let span = scene.span(name)?;
        scene.says(&span, "cancelled", Some("true"))?;
        scene.failed(&span, false)?;
    }
    for (name, line) in [
        ("send mail", "lets go of the mail"),
        ("load cart", "lets go of the cart"),
        ("hash", "lets go of the hash"),
    ] {
        scene.logged(&scene.span(name)?, &[line])?;
    }
    scene.says(&scene.span("POST /ben")?, "cancelled", None)?;
    scene.tree(&[
        ("POST /anna", ""),
        ("send mail", "POST /ben"),
        ("load cart", "POST /ben"),
        ("hash", "POST /ben"),
    ])
}
