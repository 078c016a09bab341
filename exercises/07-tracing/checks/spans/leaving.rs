//! Work that leaves its task.

use super::door::{Door, Later};
use super::scene::{Job, Outcome, Scene, Tasks, on_a_thread};
use grading::{Evidence, Finding, World};
use observability::spans::{Recorder, Spans};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testbed::gate::Gate;

pub(super) async fn in_a_task<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let (gate, subject) = (Gate::shut(), scene.subject);
    let (mails, others) = (Tasks::default(), Tasks::default());
    let door = Door::works({
        let (gate, mails, others) = (gate.clone(), mails.clone(), others.clone());
        move || {
            let (gate, mails, others) = (gate.clone(), mails.clone(), others.clone());
            subject.does("confirm", async move {
                let more = others.clone();
                mails.spawn(subject.task("send mail", async move {
                    more.spawn(subject.task("count mail", subject.leaf("begun before")));
                    gate.pass().await;
                    subject.leaf("render").await;
                }));
                // A step may be spawned as well.
                others.spawn(subject.leaf("print label"));
            })
        }
    });
    scene.ask("customer", "/buy", door).await?;
    // The request has been answered, and the mail waits.
    mails.come_to(&gate).await?;
    others.end().await?;
    gate.open();
    mails.end().await?;
    scene.tree(&[
        ("confirm", "POST /buy"),
        ("send mail", "confirm"),
        ("render", "send mail"),
        ("count mail", "send mail"),
        ("begun before", "send mail"),
        ("print label", "confirm"),
        ("POST /buy", ""),
    ])
}

pub(super) async fn in_a_thread<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let door = Door::works(move || {
        subject.does("log in", async move {
            let runtime = tokio::runtime::Handle::current();
            let job = subject.job("hash", move || {
                runtime.block_on(subject.leaf("ask for the salt"));
                on_a_thread(subject.job("compare", || {}));
            });
            let hashed = tokio::task::spawn_blocking(job).await;
            assert_eq!(hashed.ok(), Some(7), "a job has to pass on what its work says");
        })
    });
    scene.ask("customer", "/login", door).await?;
    scene.tree(&[
        ("log in", "POST /login"),
        ("hash", "log in"),
        ("ask for the salt", "hash"),
        ("compare", "hash"),
        ("POST /login", ""),
    ])
}

pub(super) async fn clean_threads<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let door = Door::works(move || async move {
        let job = subject.job("anna's job", || {});
        let broken = subject.job("anna's broken job", || panic!("the job's own"));
        drop(subject.job("anna's other job", || {}));
        // One thread of the pool, and what it does one after the other.
        let jobs = subject.job("anna's jobs", move || {
            job();
            subject.job("after the job", || {})();
            let panic = std::panic::catch_unwind(AssertUnwindSafe(broken)).err();
            let panic = panic.and_then(|panic| panic.downcast::<&str>().ok());
            assert_eq!(panic.as_deref(), Some(&"the job's own"), "a panic has to be passed on");
            subject.job("after the broken job", || {})();
        });
        let here = tokio::task::spawn_blocking(move || {
            jobs();
            Recorder::here()
        });
        assert_eq!(here.await.ok(), Some(None), "the thread of the pool is nobody's again");
    });
    scene.ask("anna", "/anna", door).await?;
    let broken = scene.span("anna's broken job")?;
    scene.failed(&broken, true)?;
    scene.says(&broken, "error.type", Some("panic"))?;
    for name in ["anna's job", "anna's jobs"] {
        let job = scene.span(name)?;
        scene.failed(&job, false)?;
        scene.says(&job, "cancelled", None)?;
    }
    scene.says(&scene.span("anna's other job")?, "cancelled", Some("true"))?;
    scene.tree(&[
        ("anna's job", "POST /anna"),
        ("after the job", "anna's jobs"),
        ("after the broken job", "anna's jobs"),
        ("anna's jobs", "POST /anna"),
    ])
}

/// Work that one has begun and another waits for.
type Shared = Arc<Mutex<Option<(Later<Outcome>, Later<u32>, Job)>>>;

pub(super) async fn polled_elsewhere<D: Spans>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let (shared, subject) = (Shared::default(), scene.subject);
    let anna = Door::works({
        let shared = Arc::clone(&shared);
        move || {
            let shared = Arc::clone(&shared);
            async move {
                let step = (subject.step)(
                    "load price",
                    Box::pin(async move {
                        subject.leaf("ask tariff").await;
                        Ok(7)
                    }),
                );
                let task = subject.task("load stock", subject.leaf("ask stock"));
                let job = subject.job("compute tax", || {});
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some((step, task, job));
            }
        }
    });
    scene.ask("anna", "/anna", anna).await?;
    let ben = Door::works(move || {
        let shared = Arc::clone(&shared);
        subject.does("ben waits", async move {
            let begun = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((step, task, job)) = begun {
                let _ = tokio::join!(step, task);
                job();
            }
            subject.leaf("ben goes on").await;
        })
    });
    scene.ask("ben", "/ben", ben).await?;
    scene.tree(&[
        ("load price", "POST /anna"),
        ("ask tariff", "load price"),
        ("load stock", "POST /anna"),
        ("compute tax", "POST /anna"),
        ("ben waits", "POST /ben"),
        ("ben goes on", "ben waits"),
        ("POST /ben", ""),
    ])
}

pub(super) async fn outlives<D: Spans>(world: World) -> Result<(), Finding> {
    /// So much longer, at least. Nothing depends on how much it is.
    const LONGER: Duration = Duration::from_millis(20);
    let scene = Scene::of::<D>(world)?;
    let subject = scene.subject;
    let [mail, label] = [(); 2].map(|()| (Gate::shut(), Tasks::default()));
    let door = Door::works({
        let (mail, label) = (mail.clone(), label.clone());
        move || {
            let ((mail, mails), (label, labels)) = (mail.clone(), label.clone());
            async move {
                mails.spawn(subject.task("send mail", async move { mail.pass().await }));
                let runtime = tokio::runtime::Handle::current();
                let job = subject.job("print label", move || runtime.block_on(label.pass()));
                labels.spawn(tokio::task::spawn_blocking(job));
            }
        }
    });
    scene.ask("customer", "/buy", door).await?;
    for (gate, tasks) in [&mail, &label] {
        tasks.come_to(gate).await?;
    }
    let answered = Instant::now();
    tokio::time::sleep(LONGER).await;
    let longer = answered.elapsed();
    for (gate, tasks) in [&mail, &label] {
        gate.open();
        tasks.end().await?;
    }
    scene.tree(&[("send mail", "POST /buy"), ("print label", "POST /buy")])?;
    let root = scene.span("POST /buy")?;
    let end = |span: &observability::spans::Finished| span.start + span.duration;
    for name in ["send mail", "print label"] {
        let later = scene.span(name)?;
        scene.says(&later, "cancelled", None)?;
        // Both by the recorder's one clock: it was done so much after the answer.
        if end(&root) + longer > end(&later) {
            let expected = format!("POST /buy to end with its answer, and {name} later");
            let saw = "that they end together";
            return Err(Evidence::new(expected, saw).at(scene.begun("POST /buy")).into());
        }
    }
    Ok(())
}
