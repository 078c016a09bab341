//! A trace as a picture: each step a bar, from its beginning to its end, beneath what caused it.
//!
//! What a picture must show is not which bar is long: the first one always is, and what waits for a slow
//! step is as long as that. It is the *critical path*: at each moment, the step for which the request
//! was really waiting. It is found backwards, from the end: the last step to end was waited for; before
//! that began, the last one to end until then; and so on, and the same within each of them. What remains
//! is a span's own. Parts of bars that are on the path are drawn solid, so there is one solid bar in each
//! column; the name with the most of it is marked.
//!
//! What it is given may be odd, and is drawn as far as it goes: parents that are missing, or each
//! other's; a service whose clock is behind its caller's; a thousand steps of one name.
//!
//! Sources: C.-Q. Yang, B. P. Miller,
//! [*Critical path analysis for the execution of parallel and distributed programs*](https://doi.org/10.1109/DCS.1988.12538),
//! 1988; Z. Zhang and others,
//! [*CRISP: Critical Path Analysis of Large-Scale Microservice Architectures*](https://www.usenix.org/conference/atc22/presentation/zhang-zhizhou),
//! 2022, which does it for traces.

mod path;
mod rows;
mod svg;
mod text;
mod tree;

use super::finished::Finished;
use std::time::Duration;
use tree::Tree;

/// Draws spans, in whatever order they come. Usually those of one trace.
///
/// ```
/// # use observability::spans::{Recorder, Waterfall};
/// # use tracing_subscriber::layer::SubscriberExt;
/// # let recorder = Recorder::new("orders", 100);
/// # let subscriber = tracing_subscriber::registry().with(recorder.clone());
/// # tracing::subscriber::with_default(subscriber, || tracing::info_span!("load cart").in_scope(|| ()));
/// for trace in recorder.traces() {
///     println!("{}", Waterfall::of(&trace.spans).text());
/// }
/// ```
#[derive(Debug)]
pub struct Waterfall<'a> {
    tree: Tree<'a>,
}

/// The name with the most time on the critical path: where to look first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Culprit<'a> {
    /// The span of this name that has the most of it.
    pub span: &'a Finished,
    /// How many spans of this name there are on the path.
    pub times: usize,
    /// For how long they were waited for, without what they waited for themselves.
    pub own: Duration,
    /// How long the path is.
    pub of: Duration,
}

impl<'a> Waterfall<'a> {
    /// Finds out what hangs beneath what, and what was waited for.
    pub fn of(spans: &'a [Finished]) -> Waterfall<'a> {
        Waterfall { tree: Tree::of(spans) }
    }

    /// As lines of at most 80 columns, without colour.
    pub fn text(&self) -> String {
        text::draw(&self.tree)
    }

    /// As a picture for a page, which reads on light and on dark paper. It holds no script, and what
    /// stands in names stays text.
    pub fn svg(&self) -> String {
        svg::draw(&self.tree)
    }

    /// Where the time went. None if there are no spans, or no time.
    pub fn culprit(&self) -> Option<Culprit<'a>> {
        path::culprit(&self.tree)
    }
}
