//! The critical path: for what the request waited, at each moment.

use super::Culprit;
use super::tree::{Nanos, Tree};
use std::collections::BTreeMap;
use std::time::Duration;

/// Finds it, from the end of the longest root to its beginning.
pub(super) fn find(tree: &mut Tree<'_>) {
    let long = |at: &usize| tree.nodes[*at].ends - tree.nodes[*at].begins;
    let Some(longest) = tree.roots.iter().copied().max_by_key(long) else { return };
    let mut waiting = vec![longest];
    while let Some(at) = waiting.pop() {
        let (begins, mut until) = (tree.nodes[at].begins, tree.nodes[at].ends);
        let mut own = Vec::new();
        let mut children = tree.nodes[at].children.clone();
        children.sort_by_key(|child| std::cmp::Reverse(tree.nodes[*child].ends));
        for child in children {
            let child_ends = tree.nodes[child].ends;
            // Who ends later was not waited for here: it ran beside another that was, or goes on after
            // its parent.
            if child_ends > until || child_ends < begins {
                continue;
            }
            own.push((child_ends, until));
            waiting.push(child);
            until = tree.nodes[child].begins.clamp(begins, until);
        }
        own.push((begins, until));
        own.retain(|(from, to)| from < to);
        tree.nodes[at].own = own;
    }
}

fn own(parts: &[(Nanos, Nanos)]) -> Nanos {
    parts.iter().map(|(from, to)| to - from).sum()
}

pub(super) fn culprit<'a>(tree: &Tree<'a>) -> Option<Culprit<'a>> {
    let mut by_name = BTreeMap::<(&str, &str), (Nanos, Vec<usize>)>::new();
    for (at, node) in tree.nodes.iter().enumerate().filter(|(_, node)| !node.own.is_empty()) {
        let (sum, of) = by_name.entry((&node.span.service, &node.span.name)).or_default();
        *sum += own(&node.own);
        of.push(at);
    }
    let all = by_name.values().map(|(sum, _)| *sum).sum();
    let (sum, of) = by_name.into_values().max_by_key(|(sum, _)| *sum)?;
    let most = of.iter().max_by_key(|at| own(&tree.nodes[**at].own))?;
    Some(Culprit {
        span: tree.nodes[*most].span,
        times: of.len(),
        own: duration(sum),
        of: duration(all),
    })
}

/// What is negative took no time.
pub(super) fn duration(nanos: Nanos) -> Duration {
    let nanos = u128::try_from(nanos).unwrap_or(0);
    let seconds = u64::try_from(nanos / 1_000_000_000);
    let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    seconds.map_or(Duration::MAX, |seconds| Duration::new(seconds, rest))
}
