//! Which state may follow which: one table, and nothing changes a state past it.
//!
//! ```text
//! pending ---> stock_reserved ---> paid ---> confirmed
//!    |  |             |              |
//!    |  +-------------+--------------+---> cancelling ---> cancelled
//!    v
//! rejected
//! ```

use shop_contracts::orders::State::{
    self, Cancelled, Cancelling, Confirmed, Paid, Pending, Rejected, StockReserved,
};

/// Each state, how it is stored, and what may follow it.
const TABLE: [(State, &str, &[State]); 7] = [
    (Pending, "pending", &[StockReserved, Rejected, Cancelling]),
    (StockReserved, "stock_reserved", &[Paid, Cancelling]),
    (Paid, "paid", &[Confirmed, Cancelling]),
    (Confirmed, "confirmed", &[]),
    (Rejected, "rejected", &[]),
    (Cancelling, "cancelling", &[Cancelled]),
    (Cancelled, "cancelled", &[]),
];

fn line(state: State) -> &'static (State, &'static str, &'static [State]) {
    TABLE.iter().find(|line| line.0 == state).expect("each state has its line")
}

/// Whether an order may go from the one to the other.
pub(crate) fn may_follow(from: State, to: State) -> bool {
    line(from).2.contains(&to)
}

/// How it is stored.
pub(crate) fn name(state: State) -> &'static str {
    line(state).1
}

/// Which one is stored by this name.
pub(crate) fn named(name: &str) -> Option<State> {
    TABLE.iter().find(|line| line.1 == name).map(|line| line.0)
}

/// Those that something must follow.
pub(crate) fn open() -> impl Iterator<Item = State> {
    TABLE.iter().filter(|line| !line.2.is_empty()).map(|line| line.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [State; 7] =
        [Pending, StockReserved, Paid, Confirmed, Rejected, Cancelling, Cancelled];

    /// Row by row from which, column by column to which, in the order of `ALL`.
    const ALLOWED: [&str; 7] = [
        ". x . . x x .", // pending
        ". . x . . x .", // stock_reserved
        ". . . x . x .", // paid
        ". . . . . . .", // confirmed
        ". . . . . . .", // rejected
        ". . . . . . x", // cancelling
        ". . . . . . .", // cancelled
    ];

    #[test]
    fn every_pair_is_allowed_or_not() {
        for (from, row) in ALL.into_iter().zip(ALLOWED) {
            let cells: Vec<_> = row.split(' ').collect();
            assert_eq!(cells.len(), ALL.len());
            for (to, cell) in ALL.into_iter().zip(cells) {
                assert_eq!(may_follow(from, to), cell == "x", "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn every_state_is_reached_and_each_leads_to_an_end() {
        for state in ALL {
            let mut reached = vec![Pending];
            let mut ends = vec![state];
            // More rounds than the longest way has steps.
            for _ in ALL {
                reached.extend(
                    ALL.into_iter()
                        .filter(|to| {
                            reached.iter().any(|from| may_follow(*from, *to))
                                && !reached.contains(to)
                        })
                        .collect::<Vec<_>>(),
                );
                let next =
                    ALL.into_iter().filter(|to| ends.iter().any(|from| may_follow(*from, *to)));
                let next: Vec<_> = next.filter(|to| !ends.contains(to)).collect();
                ends.extend(next);
            }
            assert!(reached.contains(&state), "{state:?} is never reached");
            assert!(
                ends.iter().any(|end| !open().any(|open| open == *end)),
                "{state:?} leads nowhere"
            );
        }
        assert_eq!(open().collect::<Vec<_>>(), [Pending, StockReserved, Paid, Cancelling]);
    }

    #[test]
    fn a_state_is_stored_by_the_name_that_the_contract_gives_it() {
        for state in ALL {
            assert_eq!(named(name(state)), Some(state));
            let told = serde_json::to_value(state).expect("JSON");
            assert_eq!(told, name(state));
        }
        assert_eq!(named("shipped"), None);
    }
}
