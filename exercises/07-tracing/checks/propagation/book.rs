//! The spans that have ended, and how they belong together.

use grading::history::Step;
use grading::{Evidence, Finding, History, SOON};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A span that has ended. Ids are their hexadecimal digits, so that another process can tell it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) service: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) trace: String,
    pub(super) id: String,
    /// Empty for a span without a parent.
    pub(super) parent: String,
    /// Traces and spans.
    pub(super) links: Vec<(String, String)>,
    pub(super) says: BTreeMap<String, String>,
    pub(super) is_error: bool,
    #[serde(skip)]
    pub(super) step: Option<Step>,
}

impl Ended {
    pub(super) fn of(service: &str, span: &SpanData) -> Ended {
        let parent = span.parent_span_id;
        let is_root = parent == opentelemetry::SpanId::INVALID;
        let ids = |link: &opentelemetry::trace::Link| {
            (link.span_context.trace_id().to_string(), link.span_context.span_id().to_string())
        };
        Ended {
            service: service.to_owned(),
            name: span.name.to_string(),
            kind: format!("{:?}", span.span_kind),
            trace: span.span_context.trace_id().to_string(),
            id: span.span_context.span_id().to_string(),
            parent: if is_root { String::new() } else { parent.to_string() },
            links: span.links.iter().map(ids).collect(),
            says: span
                .attributes
                .iter()
                .map(|one| (one.key.to_string(), one.value.to_string()))
                .collect(),
            is_error: matches!(span.status, Status::Error { .. }),
            step: None,
        }
    }

    /// As which span it is linked to, and told to others.
    pub(super) fn ids(&self) -> (String, String) {
        (self.trace.clone(), self.id.clone())
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of {}", self.name, self.service)
    }
}

/// Traces by the order in which they are first heard of: `trace 1`.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Arc<Mutex<Vec<String>>>);

impl Names {
    pub(super) fn of(&self, trace: &str) -> String {
        let mut traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = traces.iter().position(|known| known == trace).unwrap_or_else(|| {
            traces.push(trace.to_owned());
            traces.len() - 1
        });
        format!("trace {}", nth + 1)
    }
}

/// All services' spans. Clones are the same book.
#[derive(Clone, Debug)]
pub(super) struct Book {
    history: History,
    pub(super) names: Names,
    spans: watch::Sender<Vec<Ended>>,
}

impl Book {
    pub(super) fn new(history: &History) -> Book {
        let spans = watch::Sender::new(Vec::new());
        Book { history: history.clone(), names: Names::default(), spans }
    }

    pub(super) fn add(&self, mut span: Ended) {
        let text = format!("{} ends, {}", span.name, self.names.of(&span.trace));
        let lane = span.service.clone();
        self.spans.send_modify(|spans| {
            span.step = Some(self.history.note(&lane, text));
            spans.push(span);
        });
    }

    pub(super) fn spans(&self) -> Vec<Ended> {
        self.spans.borrow().clone()
    }

    /// The spans of this name of a service, as soon as there are so many.
    pub(super) async fn all(
        &self,
        service: &str,
        name: &str,
        count: usize,
    ) -> Result<Vec<Ended>, Finding> {
        let of = |spans: &[Ended]| -> Vec<Ended> {
            let these = spans.iter().filter(|one| one.service == service && one.name == name);
            these.cloned().collect()
        };
        let mut spans = self.spans.subscribe();
        let there = spans.wait_for(|spans| of(spans).len() >= count);
        // What is there by then is judged.
        let _ = tokio::time::timeout(SOON, there).await;
        let spans = self.spans();
        let found = of(&spans);
        if found.len() == count {
            return Ok(found);
        }
        let others = spans.iter().filter(|one| one.service == service);
        let names: Vec<String> = others.map(|one| format!("`{}`", one.name)).collect();
        let saw = match names.is_empty() {
            true => "no span of it has ended".to_owned(),
            false => names.join(", "),
        };
        let expected = match count {
            1 => format!("one span `{name}` of {service}"),
            _ => format!("{count} spans `{name}` of {service}"),
        };
        Err(Evidence::new(expected, saw).at(found.last().and_then(|one| one.step)).into())
    }

    pub(super) async fn one(&self, service: &str, name: &str) -> Result<Ended, Finding> {
        Ok(self.all(service, name, 1).await?.swap_remove(0))
    }

    /// Where a span hangs.
    fn place(&self, span: &Ended) -> String {
        let trace = self.names.of(&span.trace);
        if span.parent.is_empty() {
            return format!("it without a parent, in {trace}");
        }
        let spans = self.spans();
        let parent = spans.iter().find(|one| one.id == span.parent && one.trace == span.trace);
        match parent {
            Some(parent) => format!("it as a child of {parent}, in {trace}"),
            None => format!("it as a child of another span, in {trace}"),
        }
    }

    pub(super) fn child(&self, child: &Ended, parent: &Ended) -> Result<(), Finding> {
        if child.trace == parent.trace && child.parent == parent.id && child.id != parent.id {
            return Ok(());
        }
        let trace = self.names.of(&parent.trace);
        let expected = format!("{child} as a child of {parent}, in {trace}");
        Err(Evidence::new(expected, self.place(child)).at(parent.step).at(child.step).into())
    }

    pub(super) fn root(&self, span: &Ended) -> Result<(), Finding> {
        if span.parent.is_empty() {
            return Ok(());
        }
        let expected = format!("{span} without a parent, in a trace of its own");
        Err(Evidence::new(expected, self.place(span)).at(span.step).into())
    }

    /// The span links to these, and to nothing else.
    pub(super) fn links(&self, span: &Ended, to: &[(String, String)]) -> Result<(), Finding> {
        let sorted = |links: &[(String, String)]| {
            let mut links = links.to_vec();
            links.sort();
            links
        };
        if sorted(&span.links) == sorted(to) {
            return Ok(());
        }
        let told = |links: &[(String, String)]| match links {
            [] => "no link".to_owned(),
            links => {
                let names: Vec<String> = links.iter().map(|link| self.linked(link)).collect();
                format!("a link to {}", names.join(", and to "))
            }
        };
        let expected = format!("in {span} {}", told(to));
        Err(Evidence::new(expected, told(&span.links)).at(span.step).into())
    }

    fn linked(&self, (trace, id): &(String, String)) -> String {
        let spans = self.spans();
        let span = spans.iter().find(|one| one.id == *id && one.trace == *trace);
        let name = span.map_or("a span".to_owned(), |span| format!("`{}`", span.name));
        format!("{name} of {}", self.names.of(trace))
    }

    /// The span says this of itself.
    pub(super) fn says(&self, span: &Ended, key: &str, value: &str) -> Result<(), Finding> {
        match span.says.get(key).map(String::as_str) {
            Some(said) if said == value => Ok(()),
            said => {
                let expected = format!("{span} with {key} = {value}");
                let saw = said.map_or("none".to_owned(), |said| format!("{key} = {said}"));
                Err(Evidence::new(expected, saw).at(span.step).into())
            }
        }
    }

    pub(super) fn kind(&self, span: &Ended, kind: &SpanKind) -> Result<(), Finding> {
        let kind = format!("{kind:?}");
        match span.kind == kind {
            true => Ok(()),
            false => {
                let saw = span.kind.clone();
                Err(Evidence::new(format!("{span} of kind {kind}"), saw).at(span.step).into())
            }
        }
    }
}

/// Writes a service's spans into the book, as an exporter of OpenTelemetry.
#[derive(Debug)]
pub(super) struct Page<F> {
    pub(super) service: &'static str,
    pub(super) to: F,
}

/// Where ended spans go.
pub(super) trait Keeps: fmt::Debug + Send + Sync + 'static {
    fn keep(&self, span: Ended);
}

impl Keeps for Book {
    fn keep(&self, span: Ended) {
        self.add(span);
    }
}

impl<F: Keeps> SpanExporter for Page<F> {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        for span in &spans {
            self.to.keep(Ended::of(self.service, span));
        }
        Ok(())
    }
}
