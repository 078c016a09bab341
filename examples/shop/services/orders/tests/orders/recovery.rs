//! What a crash leaves, in each state, is brought to its end by the next start.

use shop_contracts::orders::{Order, State};
use shop_contracts::{Kind, Problem};
use shop_orders::Recovered;
use tokio::task::JoinHandle;

use crate::peers::{Gate, Step, Trouble};
use crate::world::World;

const CONFIRMED: Recovered = Recovered { confirmed: 1, cancelled: 0, open: 0 };
const CANCELLED: Recovered = Recovered { confirmed: 0, cancelled: 1, open: 0 };

/// What stood still, and who waits for it.
struct Crashed {
    gate: Gate,
    asking: JoinHandle<Result<Order, Problem>>,
}

/// A checkout that stands still for ever in this step, as that of a process which is gone.
async fn crash(world: &World, card: &str, step: Step, done: bool) -> Crashed {
    let gate = Gate::new();
    let still = if done { Trouble::After } else { Trouble::Before };
    world.peers.next(step, [still(gate.clone())]);
    let (client, wish) = (world.client.clone(), world.wish("one", card));
    let asking = tokio::spawn(async move { client.place(&wish).await });
    gate.meet().await;
    Crashed { gate, asking }
}

/// The next start recovers; then whoever stood still moves on after all, and changes nothing.
async fn recovers(world: &World, crashed: Crashed, expected: Recovered) {
    let recovered = world.orders().await.recover().await.expect("a database");
    assert_eq!(recovered, expected);
    let (end, kept) = match expected {
        CONFIRMED => (State::Confirmed, 950),
        _ => (State::Cancelled, 0),
    };
    let order = world.only().await;
    assert_eq!(order.state, end);
    assert_eq!((world.peers.kept(), world.peers.held()), (kept, 0));
    crashed.gate.meet().await;
    let too_late = crashed.asking.await.expect("no panic");
    assert!(too_late.is_err(), "{too_late:?}");
    let said_again = world.buy("one").await;
    assert_eq!(said_again.is_ok(), expected == CONFIRMED, "{said_again:?}");
    assert_eq!(world.only().await.state, end);
    assert_eq!((world.peers.kept(), world.peers.held()), (kept, 0));
    // There is nothing left to do.
    let recovered = world.orders().await.recover().await.expect("a database");
    assert_eq!(recovered, Recovered::default());
}

#[tokio::test]
async fn pending_is_cancelled() {
    for done in [false, true] {
        let world = World::new().await;
        let crashed = crash(&world, "tok_ok", Step::Reserve, done).await;
        assert_eq!(world.only().await.state, State::Pending);
        recovers(&world, crashed, CANCELLED).await;
    }
}

#[tokio::test]
async fn reserved_and_charged_is_confirmed() {
    let world = World::new().await;
    let crashed = crash(&world, "tok_ok", Step::Charge, true).await;
    assert_eq!(world.only().await.state, State::StockReserved);
    recovers(&world, crashed, CONFIRMED).await;
    assert_eq!(world.peers.look().mails.len(), 1);
    assert_eq!(world.cart(), []);
}

#[tokio::test]
async fn reserved_and_not_charged_is_cancelled() {
    for (card, done) in
        [("tok_ok", false), ("tok_declined", true), ("tok_pending", true), ("tok_pending", false)]
    {
        let world = World::new().await;
        let crashed = crash(&world, card, Step::Charge, done).await;
        assert_eq!(world.only().await.state, State::StockReserved);
        recovers(&world, crashed, CANCELLED).await;
    }
}

#[tokio::test]
async fn paid_is_confirmed() {
    for done in [false, true] {
        let world = World::new().await;
        let crashed = crash(&world, "tok_ok", Step::Commit, done).await;
        assert_eq!(world.only().await.state, State::Paid);
        recovers(&world, crashed, CONFIRMED).await;
        assert_eq!(world.peers.look().mails.len(), 1);
        assert_eq!(world.cart(), []);
    }
}

#[tokio::test]
async fn cancelling_is_cancelled() {
    for (card, step) in [
        ("tok_declined", Step::Release),
        ("tok_pending", Step::Refund),
        ("tok_pending", Step::Release),
    ] {
        for done in [false, true] {
            let world = World::new().await;
            let crashed = crash(&world, card, step, done).await;
            assert_eq!(world.only().await.state, State::Cancelling);
            recovers(&world, crashed, CANCELLED).await;
        }
    }
}

#[tokio::test]
async fn what_is_at_its_end_is_left_alone() {
    let world = World::new().await;
    world.buy("one").await.expect("confirmed");
    world.fill(world.tea, "tea", 1, 400);
    world.client.place(&world.wish("two", "tok_declined")).await.expect_err("declined");
    world.peers.look().stock.insert(world.tea, 0);
    world.buy("three").await.expect_err("out of stock");
    let before = world.client.orders(world.customer).await.expect("orders");
    let calls = world.peers.look().calls.len();
    let recovered = world.orders().await.recover().await.expect("a database");
    assert_eq!(recovered, Recovered::default());
    assert_eq!(world.client.orders(world.customer).await.expect("orders"), before);
    assert_eq!(world.peers.look().calls.len(), calls);
}

#[tokio::test]
async fn what_cannot_be_asked_waits_for_the_next_time() {
    let world = World::new().await;
    let crashed = crash(&world, "tok_ok", Step::Charge, true).await;
    for step in [Step::AskPayment, Step::Refund, Step::Release, Step::Commit] {
        world.peers.always(step, Trouble::Refused(Kind::Unavailable));
    }
    let recovered = world.orders().await.recover().await.expect("a database");
    assert_eq!(recovered, Recovered { confirmed: 0, cancelled: 0, open: 1 });
    assert_eq!(world.peers.kept(), 950);
    world.peers.calm();
    recovers(&world, crashed, CANCELLED).await;
}
