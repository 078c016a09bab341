//! What goes on beside a request: tasks, threads, and work that somebody else waits for.

use super::door::{Door, Later};
use super::scene::{Job, Scene, Subject};
use axum::body::Body;
use grading::{Finding, World};
use http::Response;
use observability::correlation_ids::CorrelationIds;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use testbed::gate::Gate;
use tracing::dispatcher::{Dispatch, get_default, with_default};

pub(super) async fn in_a_task<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let (gate, subject) = (Gate::shut(), scene.subject);
    let door = Door::checkout({
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                tracing::info!("takes the order");
                let begun = Gate::barrier(2);
                let both = begun.clone();
                subject.spawn(async move {
                    tracing::info!("task begins");
                    subject.spawn(async move {
                        tracing::info!("task of the task");
                        both.pass().await;
                    });
                    gate.pass().await;
                    tracing::info!("task ends");
                });
                begun.pass().await;
                Response::new(Body::empty())
            }
        }
    });
    let shop = scene.open("shop", door)?;
    let answer = scene.ask("customer", &shop, "/checkout", &[b"checkout-7"]).await?;
    answer.is("checkout-7")?;
    // The request has long been answered.
    gate.open();
    shop.log.line("task ends").await?;
    let lines = ["takes the order", "task begins", "task of the task", "task ends"];
    shop.log.carry("checkout-7", &lines).await
}

/// A thread that is nobody's, and logs into the service's log, as all threads of a program do.
fn thread(job: Job) {
    let log = get_default(Dispatch::clone);
    let name = std::thread::current().name().unwrap_or("check").to_owned();
    let spawned = std::thread::Builder::new().name(name).spawn(move || with_default(&log, job));
    drop(spawned);
}

pub(super) async fn in_a_thread<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let subject = scene.subject;
    let door = Door::checkout(move |_| async move {
        tracing::info!("begins");
        thread((subject.in_thread)(Box::new(|| tracing::info!("in a thread"))));
        let runtime = tokio::runtime::Handle::current();
        let job: Job = Box::new(move || {
            tracing::info!("in the pool");
            runtime.block_on(async {
                tokio::task::yield_now().await;
                tracing::info!("waits in the pool");
            });
            subject_thread(subject);
        });
        let _ = tokio::task::spawn_blocking((subject.in_thread)(job)).await;
        tracing::info!("ends");
        Response::new(Body::empty())
    });
    let shop = scene.open("shop", door)?;
    let answer = scene.ask("customer", &shop, "/checkout", &[b"checkout-7"]).await?;
    answer.is("checkout-7")?;
    let lines =
        ["begins", "in the pool", "waits in the pool", "in a thread", "thread of a thread", "ends"];
    shop.log.carry("checkout-7", &lines).await
}

fn subject_thread(subject: Subject) {
    thread((subject.in_thread)(Box::new(|| tracing::info!("thread of a thread"))));
}

pub(super) async fn clean_threads<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let subject = scene.subject;
    let door = Door::checkout(move |_| async move {
        let job = (subject.in_thread)(Box::new(|| tracing::info!("anna's job")));
        let broken = (subject.in_thread)(Box::new(|| {
            tracing::info!("anna's broken job");
            panic!("the job's own");
        }));
        // One thread of the pool, and what it does one after the other.
        let pool = tokio::task::spawn_blocking(move || {
            job();
            tracing::info!("the next job");
            let _ = std::panic::catch_unwind(AssertUnwindSafe(broken));
            tracing::info!("the job after that");
        });
        let _ = pool.await;
        Response::new(Body::empty())
    });
    let shop = scene.open("shop", door)?;
    let answer = scene.ask("anna", &shop, "/checkout", &[b"anna-1"]).await?;
    answer.is("anna-1")?;
    shop.log.carry("anna-1", &["anna's job", "anna's broken job"]).await?;
    shop.log.nobodys(&["the next job", "the job after that"]).await
}

/// Work that one has begun and another waits for.
type Shared = Arc<Mutex<Option<(Later<()>, Job)>>>;

/// Begins it in the name of whoever calls this.
fn begin(subject: Subject, shared: &Shared) {
    let work = (subject.in_task)(Box::pin(async {
        tracing::info!("loads the price");
        tokio::task::yield_now().await;
        tracing::info!("has the price");
    }));
    let job = (subject.in_thread)(Box::new(|| tracing::info!("computes the price")));
    *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some((work, job));
}

/// Ben comes, and waits for it.
fn waits(subject: Subject, shared: &Shared) -> Door {
    let shared = Arc::clone(shared);
    Door::checkout(move |request| {
        let shared = Arc::clone(&shared);
        async move {
            if request.uri().query() == Some("anna") {
                begin(subject, &shared);
                return Response::new(Body::empty());
            }
            let begun = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
            tracing::info!("ben waits");
            if let Some((work, job)) = begun {
                work.await;
                tracing::info!("ben still waits");
                job();
            }
            tracing::info!("ben goes on");
            Response::new(Body::empty())
        }
    })
}

const PRICE: [&str; 3] = ["loads the price", "has the price", "computes the price"];
const BEN: [&str; 3] = ["ben waits", "ben still waits", "ben goes on"];

pub(super) async fn waited_for<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let shared = Shared::default();
    let shop = scene.open("shop", waits(scene.subject, &shared))?;
    scene.ask("anna", &shop, "/checkout?anna", &[b"anna-1"]).await?.is("anna-1")?;
    let answer = scene.ask("ben", &shop, "/checkout?ben", &[b"ben-2"]).await?;
    shop.log.carry("anna-1", &PRICE).await?;
    shop.log.carry("ben-2", &BEN).await?;
    answer.is("ben-2")
}

pub(super) async fn begun_for_nobody<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let (shared, subject) = (Shared::default(), scene.subject);
    let shop = scene.open("shop", waits(subject, &shared))?;
    shop.run(async move { begin(subject, &shared) }).await?;
    let answer = scene.ask("ben", &shop, "/checkout?ben", &[b"ben-2"]).await?;
    shop.log.nobodys(&PRICE).await?;
    shop.log.carry("ben-2", &BEN).await?;
    answer.is("ben-2")
}
