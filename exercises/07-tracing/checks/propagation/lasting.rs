//! How long a span is there, and what is in it: its work, and the wait before that.

use super::book::{Book, Ended};
use super::door::{Answering, Door, Later, apart, arrived, to};
use super::scene::{Rows, Scene, Service, found};
use grading::{Evidence, Finding};
use observability::propagation::{Carrier, Delivery, Peer};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use testbed::gate::Gate;

/// A future that is kept when it has its result, as one is that was polled by reference.
struct Kept<T>(Later<T>);

impl<T> Future for Kept<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(task).map(drop)
    }
}

type Work = Arc<dyn Fn() -> Later<()> + Send + Sync>;
type Working = fn(&Service, Work) -> Later<()>;
type Asking = fn(&Service, Door) -> Answering;

fn served(service: &Service, door: Door) -> Answering {
    service.subject.serve(Peer::Ours, door, arrived(&to("POST", "/orders"), None))
}

fn asked(service: &Service, door: Door) -> Answering {
    service.subject.ask(Peer::Ours, door, to("GET", "/stock"))
}

/// All that makes spans around something, by their names.
const AROUND: [(&str, Working); 4] = [
    ("POST", |service, work| Box::pin(Kept(served(service, Door::after(move |_| work()))))),
    ("GET", |service, work| Box::pin(Kept(asked(service, Door::after(move |_| work()))))),
    ("send orders", |service, work| {
        let publish = Box::new(move |_| work());
        service.subject.send("orders", Carrier::default(), publish)
    }),
    ("process orders", |service, work| {
        service.subject.receive("orders", &[Delivery::default()], work())
    }),
];

/// Where it is when it is dropped.
struct OnLeaving(Rows<Context>);

impl Drop for OnLeaving {
    fn drop(&mut self) {
        self.0.push(Context::current());
    }
}

/// Work that waits at the gate, and keeps the contexts in which it begins and ends, as a task does
/// that was spawned there.
fn work(gate: &Gate) -> (Work, Rows<Context>) {
    let (gate, held) = (gate.clone(), Rows::default());
    let work = {
        let held: Rows<Context> = held.clone();
        move || -> Later<()> {
            let (gate, held) = (gate.clone(), held.clone());
            Box::pin(async move {
                held.push(Context::current());
                let _leaving = OnLeaving(held);
                gate.pass().await;
            })
        }
    };
    (Arc::new(work), held)
}

fn inside(what: &str, was: &Context, span: &Ended) -> Result<(), Finding> {
    if was.span().span_context().span_id().to_string() == span.id {
        return Ok(());
    }
    let saw = if was.has_active_span() { "it in another span" } else { "it in no span" };
    Err(Evidence::new(format!("{what} in {span}"), saw).at(span.step).into())
}

/// That it began there, and was dropped there.
fn all_inside(held: &Rows<Context>, span: &Ended) -> Result<(), Finding> {
    inside("the work", &held.take()?, span)?;
    inside("what the work does when it is dropped", &held.take()?, span)
}

fn goes_on(book: &Book, name: &str, ended: usize) -> Result<(), Finding> {
    let spans = book.spans();
    match spans.iter().filter(|span| span.name == name).nth(ended) {
        None => Ok(()),
        Some(span) => {
            let expected = format!("{span} goes on while its work does");
            Err(Evidence::new(expected, "it has ended").at(span.step).into())
        }
    }
}

pub(super) async fn as_long(scene: Scene) -> Result<(), Finding> {
    let (service, book) = (scene.service("orders"), &scene.book);
    for (name, working) in AROUND {
        let (lane, history) = ("orders", scene.world.history());
        history.turn_page();
        // Work that comes to its end. Its future is still there then, and its context as well.
        let gate = Gate::shut();
        let (work_of, held) = work(&gate);
        let mut task = tokio::spawn({
            let service = service.clone();
            async move {
                let mut kept = working(&service, work_of);
                (&mut kept).await;
                Some(kept)
            }
        });
        history.note(lane, format!("the work of {name} begins"));
        grading::comes_to(&gate, &mut task).await?;
        goes_on(book, name, 0)?;
        history.note(lane, "its work has ended, and somebody holds its context");
        gate.open();
        let kept = task.await?;
        let done = book.one("orders", name).await?;
        drop(kept);
        all_inside(&held, &done)?;
        // And work that is dropped, where somebody holds its context.
        let gate = Gate::shut();
        let (work_of, held) = work(&gate);
        let mut task = tokio::spawn({
            let service = service.clone();
            async move { working(&service, work_of).await }
        });
        grading::comes_to(&gate, &mut task).await?;
        goes_on(book, name, 1)?;
        history.note(lane, format!("the work of {name} is dropped"));
        task.abort();
        let _ = task.await;
        let dropped = book.all("orders", name, 2).await?.swap_remove(1);
        all_inside(&held, &dropped)?;
    }
    Ok(())
}

pub(super) async fn ready(scene: Scene) -> Result<(), Finding> {
    let (service, book) = (scene.service("orders"), &scene.book);
    let hops: [(&str, Asking); 2] = [("POST", served), ("GET", asked)];
    for (nth, refuses) in [false, true].into_iter().enumerate() {
        for (name, asking) in hops {
            scene.world.history().turn_page();
            let then = if refuses { "refuses" } else { "is ready" };
            scene.world.history().note("orders", format!("what {name} asks waits, and {then}"));
            let seen: Rows<Context> = Rows::default();
            let door = Door::after(|_| std::future::ready(())).readied({
                let seen = seen.clone();
                move |polls| {
                    seen.push(Context::current());
                    match (polls, refuses) {
                        (0, _) => Poll::Pending,
                        (_, false) => Poll::Ready(Ok(())),
                        (_, true) => Poll::Ready(Err("no connection".into())),
                    }
                }
            });
            let service = service.clone();
            let answer = apart(async move { asking(&service, door).await }).result().await?;
            match answer {
                Err(error) if refuses && error.to_string() == "no connection" => {}
                Err(error) => return Err(found(error)),
                Ok(_) if refuses => {
                    let expected = "the error `no connection`, as it is";
                    return Err(Evidence::new(expected, "an answer").into());
                }
                Ok(_) => {}
            }
            let span = book.all("orders", name, nth + 1).await?.swap_remove(nth);
            inside("the wait until it is ready", &seen.take()?, &span)?;
            while let Ok(was) = seen.take() {
                inside("the wait until it is ready", &was, &span)?;
            }
            if refuses && !span.is_error {
                return Err(Evidence::new(format!("{span} as an error"), "no error").into());
            }
        }
    }
    Ok(())
}
