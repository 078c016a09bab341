//! A service on one thread, all of whose spans are recorded, and its customers.

use super::door::{Answer, Door, Later, Refused};
use super::witness::{Heard, LANE, Witness};
use grading::history::Step;
use grading::{Evidence, Finding, World, comes_to};
use http::{Method, Request};
use observability::lines::Lines;
use observability::spans::{Finished, Recorder, Route, Spans};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, Once, PoisonError};
use testbed::gate::Gate;
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinHandle};
use tracing::Level;
use tracing::dispatcher::{DefaultGuard, Dispatch, get_default, with_default};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

pub(super) type Job = Box<dyn FnOnce() -> u32 + Send>;
pub(super) type Outcome = Result<u32, Refused>;

/// The subject with its type forgotten: so that the checks are compiled once, and not for each wrong
/// answer.
#[derive(Clone, Copy)]
pub(super) struct Subject {
    pub(super) serve: fn(Door, Request<()>) -> Later<Answer>,
    pub(super) step: fn(&'static str, Later<Outcome>) -> Later<Outcome>,
    pub(super) in_task: fn(&'static str, Later<u32>) -> Later<u32>,
    pub(super) in_thread: fn(&'static str, Job) -> Job,
}

impl Subject {
    fn of<D: Spans>() -> Subject {
        Subject {
            serve: |door, request| Box::pin(D::serve(door, request)),
            step: |name, work| Box::pin(D::step(name, work)),
            in_task: |name, work| Box::pin(D::in_task(name, work)),
            in_thread: |name, job| Box::new(D::in_thread(name, job)),
        }
    }

    /// A step that ends well. It is begun when this is called.
    pub(super) fn does(
        self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send {
        let step = (self.step)(
            name,
            Box::pin(async move {
                work.await;
                Ok(7)
            }),
        );
        async move {
            let ended = step.await;
            assert_eq!(ended, Ok(7), "a step has to pass on what its work says");
        }
    }

    /// A step with nothing beneath it, which is polled twice.
    pub(super) fn leaf(self, name: &'static str) -> impl Future<Output = ()> + Send {
        self.does(name, tokio::task::yield_now())
    }

    pub(super) fn task(
        self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Later<u32> {
        (self.in_task)(
            name,
            Box::pin(async move {
                work.await;
                7
            }),
        )
    }

    pub(super) fn job(self, name: &'static str, work: impl FnOnce() + Send + 'static) -> Job {
        (self.in_thread)(
            name,
            Box::new(move || {
                work();
                7
            }),
        )
    }
}

/// What a check plays in.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) subject: Subject,
    pub(super) recorder: Recorder,
    pub(super) witness: Witness,
    runtime: Option<Runtime>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Scene {
    pub(super) fn of<D: Spans>(world: World) -> Result<Scene, Finding> {
        Scene::quieter::<D>(world, LevelFilter::TRACE, Level::TRACE)
    }

    /// One whose log shows what is as grave as this, and whose spans are kept up to that level.
    pub(super) fn quieter<D: Spans>(
        world: World,
        log: LevelFilter,
        spans: Level,
    ) -> Result<Scene, Finding> {
        listen();
        let recorder = Recorder::new("shop", 100).up_to(spans);
        let lines = Lines::new(std::io::sink, || None).with_filter(log);
        let all = tracing_subscriber::registry().with(lines).with(recorder.clone());
        let witness = Witness::of(world.history().clone());
        let dispatch = Dispatch::new(all.with(witness.clone()));
        // Panics on threads of this name are laid at the check's door.
        let name = std::thread::current().name().unwrap_or("check").to_owned();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .enable_all()
            .on_thread_start(move || {
                let guard = tracing::dispatcher::set_default(&dispatch);
                LISTENING.with(|listening| *listening.borrow_mut() = Some(guard));
            })
            .build()
            .map_err(|error| Finding::inconclusive(format!("no runtime: {error}")))?;
        let subject = Subject::of::<D>();
        Ok(Scene { world, subject, recorder, witness, runtime: Some(runtime) })
    }

    fn runtime(&self) -> Result<&Runtime, Finding> {
        self.runtime.as_ref().ok_or_else(|| Finding::inconclusive("the service has ended"))
    }

    /// Does this on the service's only thread, in no request's name.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Finding> {
        Ok(self.runtime()?.spawn(work).await?)
    }

    /// A customer asks, by this route, and is answered some time.
    pub(super) fn begin(
        &self,
        customer: &str,
        route: &'static str,
        door: Door,
    ) -> Result<JoinHandle<Answer>, Finding> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        request.extensions_mut().insert(Route(route.into()));
        self.send(customer, door, request)
    }

    /// A customer sends this.
    pub(super) fn send(
        &self,
        customer: &str,
        door: Door,
        request: Request<()>,
    ) -> Result<JoinHandle<Answer>, Finding> {
        let route = request.extensions().get::<Route>();
        let path =
            route.map_or_else(|| request.uri().path().to_owned(), |route| route.0.to_string());
        let call = self.world.invoke(customer, format!("{} {path}", request.method()));
        let serve = self.subject.serve;
        Ok(self.runtime()?.spawn(async move {
            // Boxed by the subject when it is called, so on this thread.
            let answer = serve(door, request).await;
            match &answer {
                Ok(response) => call.ok(response.status().as_str()),
                Err(error) => call.fail(error.to_string()),
            };
            answer
        }))
    }

    /// A customer asks, and waits for the answer.
    pub(super) async fn ask(
        &self,
        customer: &str,
        route: &'static str,
        door: Door,
    ) -> Result<(), Finding> {
        answered(self.begin(customer, route, door)?.await)
    }

    /// All that has ended, in the order in which it began.
    pub(super) fn ended(&self) -> Vec<Finished> {
        let mut spans: Vec<Finished> =
            self.recorder.traces().into_iter().flat_map(|trace| trace.spans).collect();
        spans.sort_by_key(|span| span.start);
        spans
    }

    /// The only span of this name.
    pub(super) fn span(&self, name: &str) -> Result<Finished, Finding> {
        self.spans(name, 1).map(|mut found| found.remove(0))
    }

    /// The so many spans of this name.
    pub(super) fn spans(&self, name: &str, times: usize) -> Result<Vec<Finished>, Finding> {
        let mut found = self.ended();
        let others: Vec<String> = found.iter().map(|span| span.name.to_string()).collect();
        found.retain(|span| span.name == name);
        if found.len() == times {
            return Ok(found);
        }
        let saw = match (found.len(), self.begun(name)) {
            (0, Some(_)) => "one that has begun, and does not end".to_owned(),
            (0, None) if others.is_empty() => "none, and no other either".to_owned(),
            (0, None) => format!("none, but {}", others.join(", ")),
            (many, _) => format!("{many} of them"),
        };
        let spans = if times == 1 { "span" } else { "spans" };
        Err(Evidence::new(format!("{times} {spans} {name}"), saw).at(self.begun(name)).into())
    }

    pub(super) fn begun(&self, name: &str) -> Option<Step> {
        let history = self.world.history();
        history.last(LANE, &format!("+ {name} ·")).or(history.last(LANE, &format!("+ {name}")))
    }

    /// This hangs beneath that, which is none for a root.
    pub(super) fn hangs(&self, child: &Finished, parent: Option<&Finished>) -> Result<(), Finding> {
        let is_right = child.parent == parent.map(|parent| parent.place.span)
            && parent.is_none_or(|parent| parent.place.trace == child.place.trace);
        if is_right {
            return Ok(());
        }
        let named = |span: Option<&Finished>| match span {
            None => "nothing".to_owned(),
            Some(span) => span.name.to_string(),
        };
        let ended = self.ended();
        let above = ended.iter().find(|span| Some(span.place.span) == child.parent);
        let saw = match (child.parent, above) {
            (Some(_), None) => "it beneath something that is not recorded".to_owned(),
            (_, above) => format!("it beneath {}", named(above)),
        };
        let expected = format!("{} beneath {}", child.name, named(parent));
        Err(Evidence::new(expected, saw).at(self.begun(&child.name)).into())
    }

    /// Each of these hangs beneath the one beside it; `""` is nothing.
    pub(super) fn tree(&self, pairs: &[(&str, &str)]) -> Result<(), Finding> {
        for (child, parent) in pairs {
            let child = self.span(child)?;
            match *parent {
                "" => self.hangs(&child, None)?,
                parent => self.hangs(&child, Some(&self.span(parent)?))?,
            }
        }
        Ok(())
    }

    /// What is known of a span by this name is this.
    pub(super) fn says(
        &self,
        span: &Finished,
        name: &str,
        expected: Option<&str>,
    ) -> Result<(), Finding> {
        let told = |value: Option<&str>| match value {
            None => format!("{} without {name}", span.name),
            Some(value) => format!("{} with {name} = {value}", span.name),
        };
        let saw = span.attribute(name);
        if saw == expected {
            return Ok(());
        }
        Err(Evidence::new(told(expected), told(saw)).at(self.begun(&span.name)).into())
    }

    /// A span has failed, or it has not; then it says nothing of that, and not `OK`.
    pub(super) fn failed(&self, span: &Finished, expected: bool) -> Result<(), Finding> {
        if span.failed == expected {
            let praised = |heard: &Heard| heard.is_ok && heard.name == span.name;
            if expected || !self.witness.heard().iter().any(praised) {
                return Ok(());
            }
            let told = |status| format!("{} with {status}", span.name);
            let saw = told("otel.status_code = OK");
            let evidence = Evidence::new(told("no otel.status_code"), saw);
            return Err(evidence.at(self.begun(&span.name)).into());
        }
        let told = |failed: bool| {
            let status = if failed { "otel.status_code = ERROR" } else { "no error" };
            format!("{} with {status}", span.name)
        };
        Err(Evidence::new(told(expected), told(!expected)).at(self.begun(&span.name)).into())
    }

    /// These lines were logged in this span, and no others that begin with the same word.
    pub(super) fn logged(&self, span: &Finished, lines: &[&str]) -> Result<(), Finding> {
        for line in lines {
            if span.events.iter().any(|said| said.message == *line) {
                continue;
            }
            let ended = self.ended();
            let other =
                ended.iter().find(|span| span.events.iter().any(|said| said.message == *line));
            let saw = match other {
                None => "it in no span".to_owned(),
                Some(other) => format!("it in {}", other.name),
            };
            let at = self.world.history().last(LANE, &format!("\"{line}\""));
            return Err(Evidence::new(format!("\"{line}\" in {}", span.name), saw).at(at).into());
        }
        Ok(())
    }
}

/// It was answered with 200.
pub(super) fn answered(ended: Result<Answer, JoinError>) -> Result<(), Finding> {
    match ended? {
        Ok(response) if response.status() == 200 => Ok(()),
        Ok(response) => {
            let saw = response.status().as_u16().to_string();
            Err(Evidence::new("200, as the service answered", saw).into())
        }
        Err(error) => Err(Evidence::new("an answer", error.to_string()).into()),
    }
}

/// Tasks that go on by themselves, and are waited for in the end.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Tasks {
    pub(super) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) {
        let task = tokio::spawn(async move { drop(work.await) });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Waits until the only one has come to the gate.
    pub(super) async fn come_to(&self, gate: &Gate) -> Result<(), Finding> {
        let Some(mut task) = self.take() else {
            return Err(Finding::inconclusive("nobody has begun the task that was to be held"));
        };
        comes_to(gate, &mut task).await?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        Ok(())
    }

    fn take(&self) -> Option<JoinHandle<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) async fn end(&self) -> Result<(), Finding> {
        while let Some(task) = self.take() {
            task.await?;
        }
        Ok(())
    }
}

/// Runs this on a thread that is nobody's, and logs where all threads of the program do.
pub(super) fn on_a_thread(job: Job) {
    let log = get_default(Dispatch::clone);
    let name = std::thread::current().name().unwrap_or("check").to_owned();
    let builder = std::thread::Builder::new().name(name);
    if let Ok(thread) = builder.spawn(move || with_default(&log, job)) {
        let _ = thread.join();
    }
}

thread_local! {
    static LISTENING: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Somebody has to listen everywhere. Otherwise what is first said on a thread where nobody listens may
/// be taken for something that nobody wants, and stay so: tracing asks once for each line of code.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let all = tracing_subscriber::registry().with(Lines::new(std::io::sink, || None));
        // Where there is one already, it listens.
        let _ = tracing::subscriber::set_global_default(all);
    });
}
