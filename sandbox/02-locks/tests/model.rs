//! All that three clients can do to each other, tried out: with no fence, with one that only writes
//! meet, and with the one of the lesson.
//!
//! A test of the code meets the orders of events that somebody has thought of. A model checker walks
//! through all of them, on a model that is small enough: three clients, one server of leases, one
//! stock, and four leases in all. A lease may end at any moment without its holder knowing. A write
//! may be on its way for any time, be sent again because its reply was lost, and arrive twice.
//!
//! `cargo test -p locks --test model -- --nocapture` prints what is found.

use stateright::{Checker, Model, Property};
use std::time::Instant;

const CLIENTS: usize = 3;
const UNITS: u8 = 10;

/// What is walked through.
#[derive(Clone, Copy, Debug)]
struct Shop {
    fence: Fence,
    /// How many leases are granted in all.
    leases: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    /// The stock takes every write.
    None,
    /// Writes with a token that is not the highest so far are refused. Reads leave no mark.
    OnWrites,
    /// As the reference does it.
    OnReadsAndWrites,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    server: Server,
    clients: [Client; CLIENTS],
    /// Writes on their way, in no order: token and units.
    network: Vec<(u8, u8)>,
    stock: Stock,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Server {
    holder: Option<usize>,
    /// The last token.
    token: u8,
}

/// What a client believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    Idle,
    Holds {
        token: u8,
    },
    HasRead {
        token: u8,
        units: u8,
    },
    /// It has sent its write so often.
    HasSent {
        token: u8,
        units: u8,
        times: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Stock {
    units: u8,
    /// The highest token that the fence has let pass.
    seen: u8,
    written: u8,
    /// For the properties, which the fence does not know: the tokens whose writes were taken, and
    /// whether one was taken after a higher one.
    taken: Vec<u8>,
    out_of_order: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Acquire { client: usize, token: u8 },
    Expire { holder: usize },
    Read { client: usize, units: u8 },
    Send { client: usize, units: u8 },
    Arrive { token: u8, units: u8 },
    Release { client: usize },
}

impl Action {
    /// In words. The clients are all alike; `names` lists them in the order in which they appear.
    fn told(self, names: &[usize]) -> String {
        let name = |client: usize| match names.iter().position(|named| *named == client) {
            Some(0) => "A",
            Some(1) => "B",
            _ => "C",
        };
        match self {
            Action::Acquire { client, token } => {
                format!("{} gets the lease, and token {token}", name(client))
            }
            Action::Expire { holder } => format!("the lease of {} ends, unseen", name(holder)),
            Action::Read { client, units } => format!("{} reads {units}", name(client)),
            Action::Send { client, units } => format!("{} sends: write {units}", name(client)),
            Action::Arrive { token, units } => {
                format!("the write of {units} with token {token} arrives")
            }
            Action::Release { client } => format!("{} gives its lease back", name(client)),
        }
    }
}

impl Model for Shop {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            server: Server { holder: None, token: 0 },
            clients: [Client::Idle; CLIENTS],
            network: Vec::new(),
            stock: Stock {
                units: UNITS,
                seen: 0,
                written: 0,
                taken: Vec::new(),
                out_of_order: false,
            },
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (client, believes) in state.clients.iter().enumerate() {
            match *believes {
                Client::Idle => {
                    let Server { holder, token } = state.server;
                    if holder.is_none() && token < self.leases {
                        actions.push(Action::Acquire { client, token: token + 1 });
                    }
                }
                Client::Holds { .. } => {
                    actions.push(Action::Read { client, units: state.stock.units });
                }
                Client::HasRead { units, .. } => {
                    actions.push(Action::Send { client, units: units - 1 });
                }
                Client::HasSent { units, times, .. } => {
                    // No reply has come: it sends the same once more.
                    if times < 2 {
                        actions.push(Action::Send { client, units });
                    }
                    actions.push(Action::Release { client });
                }
            }
        }
        if let Some(holder) = state.server.holder {
            actions.push(Action::Expire { holder });
        }
        let mut network = state.network.clone();
        network.dedup();
        actions.extend(network.into_iter().map(|(token, units)| Action::Arrive { token, units }));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Acquire { client, token } => {
                next.server = Server { holder: Some(client), token };
                next.clients[client] = Client::Holds { token };
            }
            Action::Expire { .. } => next.server.holder = None,
            Action::Read { client, units } => {
                let Client::Holds { token } = state.clients[client] else { return None };
                let passes = self.fence.lets_read(&mut next.stock, token);
                // Who is refused knows that it has lost its lease.
                next.clients[client] =
                    if passes { Client::HasRead { token, units } } else { Client::Idle };
            }
            Action::Send { client, units } => {
                let (token, times) = match state.clients[client] {
                    Client::HasRead { token, .. } => (token, 1),
                    Client::HasSent { token, times, .. } => (token, times + 1),
                    _ => return None,
                };
                next.clients[client] = Client::HasSent { token, units, times };
                next.network.push((token, units));
                next.network.sort_unstable();
            }
            Action::Arrive { token, units } => {
                let write = next.network.iter().position(|write| *write == (token, units))?;
                next.network.remove(write);
                if self.fence.lets_write(&mut next.stock, token) {
                    let stock = &mut next.stock;
                    stock.units = units;
                    stock.out_of_order |= stock.taken.last().is_some_and(|last| *last > token);
                    if !stock.taken.contains(&token) {
                        stock.taken.push(token);
                    }
                }
            }
            Action::Release { client } => {
                let Client::HasSent { token, .. } = state.clients[client] else { return None };
                next.clients[client] = Client::Idle;
                // Compare and delete: a lease that is another's by now stays.
                if state.server == (Server { holder: Some(client), token }) {
                    next.server.holder = None;
                }
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Shop>> {
        vec![
            Property::<Shop>::sometimes(TWO_HOLDERS, |_, state| {
                state.clients.iter().filter(|client| **client != Client::Idle).count() > 1
            }),
            Property::<Shop>::always(IN_ORDER, |_, state| !state.stock.out_of_order),
            Property::<Shop>::always(ONE_EACH, |_, state| {
                usize::from(UNITS - state.stock.units) == state.stock.taken.len()
            }),
        ]
    }
}

const TWO_HOLDERS: &str = "two believe that they hold the lease";
const IN_ORDER: &str = "no write of an earlier holder lands after a later one's";
const ONE_EACH: &str = "each write that is taken takes one unit";

impl Fence {
    fn lets_read(self, stock: &mut Stock, token: u8) -> bool {
        if self != Fence::OnReadsAndWrites {
            return true;
        }
        let passes = stock.seen <= token;
        stock.seen = stock.seen.max(token);
        passes
    }

    fn lets_write(self, stock: &mut Stock, token: u8) -> bool {
        if self == Fence::None {
            return true;
        }
        let passes = stock.seen <= token && stock.written < token;
        if passes {
            stock.seen = token;
            stock.written = token;
        }
        passes
    }
}

impl Shop {
    /// Walks through all states, and says what was found: what does not hold always, and what
    /// happens at times.
    fn explore(self) -> Vec<&'static str> {
        let began = Instant::now();
        let checker = self.checker().spawn_bfs().join();
        let mut found: Vec<&str> = checker.discoveries().into_keys().collect();
        found.sort_unstable();
        println!("{self:?}: {} states in {:.1?}", checker.unique_state_count(), began.elapsed());
        found
    }

    /// A shortest way to what was found of `property`, in words. The checker keeps the last way that
    /// it comes upon, so it is asked for ways of one step, of two, and so on.
    fn shortest(self, property: &'static str) -> Vec<String> {
        let trace = (2..).find_map(|depth| {
            let checker = self.checker().target_max_depth(depth).spawn_bfs().join();
            checker.discovery(property)
        });
        let actions = trace.map(stateright::Path::into_actions).unwrap_or_default();
        let names: Vec<usize> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Acquire { client, .. } => Some(*client),
                _ => None,
            })
            .collect();
        let words: Vec<String> = actions.into_iter().map(|action| action.told(&names)).collect();
        println!("\n{property}\n  {}\n", words.join("\n  "));
        words
    }
}

#[test]
fn without_a_fence_two_holders_spoil_the_stock() {
    let shop = Shop { fence: Fence::None, leases: 4 };
    assert_eq!(shop.explore(), [ONE_EACH, IN_ORDER, TWO_HOLDERS]);
    #[rustfmt::skip]
    // ANCHOR: unfenced
    let trace = [
        "A gets the lease, and token 1",
        "A reads 10",
        "A sends: write 9",
        "the lease of A ends, unseen",
        "B gets the lease, and token 2",
        "B reads 10",
        "B sends: write 9",
        "the write of 9 with token 2 arrives",
        "the write of 9 with token 1 arrives",   // two sold, one unit gone
    ];
    // ANCHOR_END: unfenced
    assert_eq!(shop.shortest(IN_ORDER), trace);
}

#[test]
fn a_fence_for_writes_alone_keeps_their_order_and_not_the_stock() {
    let shop = Shop { fence: Fence::OnWrites, leases: 3 };
    assert_eq!(shop.explore(), [ONE_EACH, TWO_HOLDERS]);
    #[rustfmt::skip]
    // ANCHOR: on_writes
    let trace = [
        "A gets the lease, and token 1",
        "A reads 10",
        "A sends: write 9",
        "the lease of A ends, unseen",
        "B gets the lease, and token 2",
        "B reads 10",
        "B sends: write 9",
        "the write of 9 with token 1 arrives",   // taken: nothing higher has written yet
        "the write of 9 with token 2 arrives",   // taken: two sold, one unit gone
    ];
    // ANCHOR_END: on_writes
    assert_eq!(shop.shortest(ONE_EACH), trace);
}

#[test]
fn with_the_fence_two_may_believe_that_they_hold_and_nothing_comes_of_it() {
    let shop = Shop { fence: Fence::OnReadsAndWrites, leases: 4 };
    // All states were walked through: whatever is not found does not happen.
    assert_eq!(shop.explore(), [TWO_HOLDERS]);
    #[rustfmt::skip]
    // ANCHOR: two_holders
    let trace = [
        "A gets the lease, and token 1",
        "the lease of A ends, unseen",
        "B gets the lease, and token 2",
    ];
    // ANCHOR_END: two_holders
    assert_eq!(shop.shortest(TWO_HOLDERS), trace);
}
