//! A customer who hangs up, in each step, leaves nothing half done.

use shop_contracts::orders::State;

use crate::peers::{Gate, Step, Trouble};
use crate::world::{LONG, World};

/// The customer hangs up while `step` stands still for the `nth` time, and the order comes to its
/// end all the same.
async fn hangs_up(world: &World, card: &str, step: Step, nth: usize, end: State) {
    let gate = Gate::new();
    world.peers.next(step, vec![Trouble::Fine; nth]);
    world.peers.next(step, [Trouble::Before(gate.clone())]);
    let (client, wish) = (world.client.clone(), world.wish("one", card));
    let buying = tokio::spawn(async move { client.place(&wish).await });
    gate.meet().await;
    buying.abort();
    assert!(buying.await.expect_err("aborted").is_cancelled());
    // The connection is gone with its request. The service learns of it from its socket; had it
    // dropped the checkout, that would show by the time that a few answers have come and gone.
    for _ in 0..5 {
        world.client.books().await.expect("books");
    }
    gate.meet().await;
    world.only_when(end).await;
}

#[tokio::test]
async fn whoever_hangs_up_has_bought_all_the_same() {
    let steps = [
        (Step::Cart, 0),
        (Step::Reserve, 0),
        (Step::Charge, 0),
        (Step::Commit, 0),
        (Step::Cart, 1),
        (Step::Remove, 0),
        (Step::Remove, 1),
        (Step::Notify, 0),
    ];
    for (step, nth) in steps {
        let world = World::new().await;
        hangs_up(&world, "tok_ok", step, nth, State::Confirmed).await;
        assert_eq!((world.peers.kept(), world.peers.held()), (950, 0), "{step:?}");
        let told = async {
            while !world.cart().is_empty() || world.peers.look().mails.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, told).await.expect("the cart is emptied, and the mail is sent");
        assert_eq!(world.peers.look().mails.len(), 1, "{step:?}");
        let again = world.buy("one").await.expect("the same wish finds it");
        assert_eq!(again.id, world.only().await.id);
    }
}

#[tokio::test]
async fn whoever_hangs_up_while_it_is_undone_finds_it_undone() {
    for (card, step) in [
        ("tok_declined", Step::Release),
        ("tok_pending", Step::AskPayment),
        ("tok_pending", Step::Refund),
        ("tok_pending", Step::Release),
    ] {
        let world = World::new().await;
        hangs_up(&world, card, step, 0, State::Cancelled).await;
        assert_eq!((world.peers.kept(), world.peers.held()), (0, 0), "{step:?}");
    }
}
