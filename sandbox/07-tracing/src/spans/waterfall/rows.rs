//! What is drawn, line by line: for both kinds of paper.

use super::path::{culprit, duration};
use super::tree::{Nanos, Tree};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// So many of one name stand beside each other before the others are folded into a line.
const SHOWN: usize = 3;

pub(super) struct Row {
    pub(super) depth: usize,
    /// For each level above: whether more follow there. The last says it of this row itself.
    pub(super) more: Vec<bool>,
    pub(super) label: String,
    pub(super) mark: Mark,
    pub(super) begins: Nanos,
    pub(super) ends: Nanos,
    pub(super) own: Vec<(Nanos, Nanos)>,
    pub(super) took: Duration,
    pub(super) is_culprit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mark {
    None,
    Failed,
    Cancelled,
    Moved,
    Orphan,
}

/// A node, or so many others of its name.
enum Shown {
    One(usize),
    Folded(Vec<usize>),
}

pub(super) fn rows(tree: &Tree<'_>) -> Vec<Row> {
    let culprit = culprit(tree).map(|culprit| culprit.span.place);
    let mut rows = Vec::new();
    let mut waiting: Vec<(Shown, Vec<bool>)> = Vec::new();
    let push = |waiting: &mut Vec<(Shown, Vec<bool>)>, of: &[usize], above: &[bool]| {
        for (nth, shown) in folded(tree, of, culprit).into_iter().rev().enumerate() {
            let mut more = above.to_vec();
            more.push(nth > 0);
            waiting.push((shown, more));
        }
    };
    push(&mut waiting, &tree.roots, &[]);
    while let Some((shown, more)) = waiting.pop() {
        let depth = more.len() - 1;
        match shown {
            Shown::One(at) => {
                let node = &tree.nodes[at];
                push(&mut waiting, &node.children, &more);
                rows.push(Row {
                    depth,
                    more,
                    label: label(tree, at),
                    mark: mark(tree, at),
                    begins: node.begins,
                    ends: node.ends,
                    own: node.own.clone(),
                    took: node.span.duration,
                    is_culprit: Some(node.span.place) == culprit,
                });
            }
            Shown::Folded(of) => {
                let begins = of.iter().map(|at| tree.nodes[*at].begins).min().unwrap_or(0);
                let ends = of.iter().map(|at| tree.nodes[*at].ends).max().unwrap_or(0);
                let failed = of.iter().filter(|at| tree.nodes[**at].span.failed).count();
                let failing = if failed > 0 { format!(", {failed} ✗") } else { String::new() };
                let own = of.iter().flat_map(|at| tree.nodes[*at].own.clone()).collect();
                rows.push(Row {
                    depth,
                    more,
                    label: format!("… {} more of the same name{failing}", of.len()),
                    mark: Mark::None,
                    begins,
                    ends,
                    own,
                    took: duration(ends - begins),
                    is_culprit: false,
                });
            }
        }
    }
    rows
}

/// Of those that have one name, the first are shown, and before them those that tell most.
fn folded(tree: &Tree<'_>, of: &[usize], culprit: Option<crate::spans::Place>) -> Vec<Shown> {
    let name = |at: usize| (&*tree.nodes[at].span.service, &*tree.nodes[at].span.name);
    let mut by_name = HashMap::<_, Vec<usize>>::new();
    for at in of {
        by_name.entry(name(*at)).or_default().push(*at);
    }
    let mut folds = HashMap::new();
    for mut same in by_name.into_values().filter(|same| same.len() > SHOWN + 1) {
        let last = same.last().copied();
        same.sort_by_key(|at| {
            let node = &tree.nodes[*at];
            (Some(node.span.place) != culprit, !node.span.failed, node.own.is_empty())
        });
        let rest = same.split_off(SHOWN);
        // Where the last of them would stand.
        folds.extend(last.map(|last| (last, rest)));
    }
    let hidden: HashSet<usize> = folds.values().flatten().copied().collect();
    let mut shown = Vec::new();
    for at in of {
        if !hidden.contains(at) {
            shown.push(Shown::One(*at));
        }
        shown.extend(folds.remove(at).map(Shown::Folded));
    }
    shown
}

fn label(tree: &Tree<'_>, at: usize) -> String {
    let node = &tree.nodes[at];
    let caller = node.parent.map(|parent| &tree.nodes[parent].span.service);
    let services = tree.nodes.iter().any(|other| other.span.service != node.span.service);
    let label = match caller == Some(&node.span.service) || !services {
        true => node.span.name.to_string(),
        false => format!("{} · {}", node.span.service, node.span.name),
    };
    legible(&label)
}

fn mark(tree: &Tree<'_>, at: usize) -> Mark {
    let node = &tree.nodes[at];
    match () {
        () if node.span.failed => Mark::Failed,
        () if node.span.cancelled() => Mark::Cancelled,
        () if node.is_orphan && tree.roots.len() > 1 => Mark::Orphan,
        () if node.is_moved => Mark::Moved,
        () => Mark::None,
    }
}

/// Without what ends a line, moves a cursor or turns the direction of writing.
pub(super) fn legible(text: &str) -> String {
    let odd = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(letter, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|letter| if odd(letter) { '\u{fffd}' } else { letter }).collect()
}

/// What failed, and why, for below the picture: the first few.
pub(super) fn failures(tree: &Tree<'_>) -> Vec<String> {
    const TOLD: usize = 3;
    let mut failed: Vec<_> = tree.nodes.iter().filter(|node| node.span.failed).collect();
    failed.sort_by_key(|node| node.begins);
    let told = failed.iter().take(TOLD).map(|node| {
        let why = ["otel.status_description", "error.type"].iter();
        let why = why.filter_map(|name| node.span.attribute(name)).next();
        let why = why.map(|why| format!(": {}", legible(why))).unwrap_or_default();
        format!("✗ {}{why}", legible(&node.span.name))
    });
    let more = failed.len().saturating_sub(TOLD);
    told.chain((more > 0).then(|| format!("✗ and {more} more"))).collect()
}

/// `412.0 ms`.
pub(super) fn told(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match () {
        () if time.is_zero() => "0".to_owned(),
        () if seconds < 1e-6 => format!("{} ns", time.as_nanos()),
        () if seconds < 1e-3 => format!("{:.0} µs", seconds * 1e6),
        () if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        () if seconds < 1e3 => format!("{seconds:.2} s"),
        () if seconds < 3.6e6 => format!("{:.1} h", seconds / 3600.0),
        () => "> 1000 h".to_owned(),
    }
}
