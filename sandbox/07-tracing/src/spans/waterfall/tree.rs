//! What hangs beneath what, and when, by one clock.

use super::path;
use crate::spans::finished::Finished;
use crate::spans::place::Place;
use std::collections::HashMap;
use std::time::SystemTime;

/// Nanoseconds. Signed, since a clock may be behind; wide, since it may be far behind.
pub(super) type Nanos = i128;

#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// Those that hang beneath nothing, by their beginning.
    pub(super) roots: Vec<usize>,
    /// When the first of all begins, and the last of all ends.
    pub(super) begins: Nanos,
    pub(super) ends: Nanos,
}

#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) span: &'a Finished,
    pub(super) parent: Option<usize>,
    /// By their beginning.
    pub(super) children: Vec<usize>,
    pub(super) begins: Nanos,
    pub(super) ends: Nanos,
    /// What is said to have begun it is not here.
    pub(super) is_orphan: bool,
    /// It began before its caller, by its own clock, and has been moved.
    pub(super) is_moved: bool,
    /// When it was itself what the request waited for. See [`path`].
    pub(super) own: Vec<(Nanos, Nanos)>,
}

impl<'a> Tree<'a> {
    pub(super) fn of(spans: &'a [Finished]) -> Tree<'a> {
        let mut nodes: Vec<Node<'_>> = spans.iter().map(Node::of).collect();
        find_parents(&mut nodes);
        cut_circles(&mut nodes);
        for at in 0..nodes.len() {
            if let Some(parent) = nodes[at].parent {
                nodes[parent].children.push(at);
            }
        }
        let is_root = |at: &usize| nodes[*at].parent.is_none();
        let mut roots: Vec<usize> = (0..nodes.len()).filter(is_root).collect();
        sort(&mut nodes, &mut roots);
        set_clocks(&mut nodes, &roots);
        // By the clocks as they are now.
        sort(&mut nodes, &mut roots);
        let begins = nodes.iter().map(|node| node.begins).min().unwrap_or(0);
        let ends = nodes.iter().map(|node| node.ends).max().unwrap_or(0);
        let mut tree = Tree { nodes, roots, begins, ends };
        path::find(&mut tree);
        tree
    }
}

/// By their beginning, on each level.
fn sort(nodes: &mut [Node<'_>], roots: &mut [usize]) {
    let key = |nodes: &[Node<'_>], at: usize| (nodes[at].begins, nodes[at].span.place.span);
    for at in 0..nodes.len() {
        let mut children = std::mem::take(&mut nodes[at].children);
        children.sort_by_key(|child| key(nodes, *child));
        nodes[at].children = children;
    }
    roots.sort_by_key(|root| key(nodes, *root));
}

impl<'a> Node<'a> {
    fn of(span: &'a Finished) -> Node<'a> {
        // Counted, and not `start + duration`: that panics where a clock is far out.
        let begins = match span.start.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => nanos(after),
            Err(before) => -nanos(before.duration()),
        };
        let ends = begins + nanos(span.duration);
        let (children, own) = (Vec::new(), Vec::new());
        let (is_orphan, is_moved) = (span.parent.is_some(), false);
        Node { span, parent: None, children, begins, ends, is_orphan, is_moved, own }
    }
}

fn nanos(duration: std::time::Duration) -> Nanos {
    // The longest there is has 2^94 of them.
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX / 4)
}

fn find_parents(nodes: &mut [Node<'_>]) {
    let mut by_place = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        by_place.entry(node.span.place).or_insert(at);
    }
    for node in nodes {
        let Some(parent) = node.span.parent else { continue };
        node.parent = by_place.get(&Place { span: parent, ..node.span.place }).copied();
        node.is_orphan = node.parent.is_none();
    }
}

/// Where spans are said to be beneath each other, one of them is taken for the first.
fn cut_circles(nodes: &mut [Node<'_>]) {
    // Who has walked here: nobody, the walk of that number.
    let mut walks = vec![0; nodes.len()];
    for first in 0..nodes.len() {
        let (walk, mut at) = (first + 1, first);
        while walks[at] == 0 {
            walks[at] = walk;
            match nodes[at].parent {
                Some(parent) if walks[parent] == walk => {
                    nodes[at].parent = None;
                    nodes[at].is_orphan = true;
                }
                Some(parent) => at = parent,
                None => {}
            }
        }
    }
}

/// A service that is asked cannot begin before it is asked. Where it says so, its clock is behind, and
/// what it says is moved into the middle of the call: the way there is taken to be as long as the way
/// back. A clock is a service's; other spans of it move as far.
fn set_clocks(nodes: &mut [Node<'_>], roots: &[usize]) {
    let mut behind: HashMap<&str, Nanos> = HashMap::new();
    let mut waiting: Vec<usize> = roots.iter().rev().copied().collect();
    while let Some(at) = waiting.pop() {
        let service = &*nodes[at].span.service;
        let mut by = behind.get(service).copied().unwrap_or(0);
        if let Some(parent) = nodes[at].parent {
            let (node, caller) = (&nodes[at], &nodes[parent]);
            if node.begins + by < caller.begins && *service != *caller.span.service {
                let room = (caller.ends - caller.begins) - (node.ends - node.begins);
                by = caller.begins + room.max(0) / 2 - node.begins;
                behind.insert(service, by);
            }
        }
        let node = &mut nodes[at];
        node.begins += by;
        node.ends += by;
        node.is_moved = by != 0;
        waiting.extend(nodes[at].children.iter().rev());
    }
}
