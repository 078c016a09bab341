//! Others refuse, break off, or never answer. Whatever they did or did not do: who paid has the
//! order, and who has no order did not pay.

use std::time::Duration;

use shop_contracts::orders::{Books, State};
use shop_contracts::{Kind, notifications, payments};

use crate::peers::{Gate, Step, Trouble};
use crate::world::{LONG, World, address};

/// How long the service waits for an answer that never comes. What does come, comes in a
/// thousandth of it.
const SHORT: Duration = Duration::from_secs(2);

/// The order was given up: the customer is told so, and nothing is left of it.
async fn given_up(world: &World, told: &shop_contracts::Problem) {
    assert!(told.is(Kind::Unavailable), "{told}");
    let order = world.only().await;
    assert_eq!(order.state, State::Cancelled, "{order:?}");
    assert_eq!(told.instance, address(&order));
    assert!(order.reason.is_some());
    assert_eq!((world.peers.kept(), world.peers.held()), (0, 0));
    assert_eq!(world.cart().len(), 2, "the cart is as it was");
    let books = world.client.books().await.expect("books");
    assert_eq!((books.failed, books.revenue, books.open), (1, 0, 0));
    assert_eq!(&world.buy("one").await.expect_err("the same wish"), told);
}

/// The order was confirmed, and everything happened once.
async fn confirmed(world: &World) {
    let order = world.only().await;
    assert_eq!(order.state, State::Confirmed, "{order:?}");
    assert_eq!((world.peers.kept(), world.peers.held()), (950, 0));
    let books = world.client.books().await.expect("books");
    assert_eq!(books, Books { confirmed: 1, revenue: 950, units: 3, failed: 0, open: 0 });
}

#[tokio::test]
async fn stock_of_which_nothing_is_heard_is_given_back() {
    let refused = [Kind::Unavailable, Kind::Internal, Kind::Conflict].map(Trouble::Refused);
    for trouble in refused.into_iter().chain([Trouble::AnswerLost, Trouble::RequestLost]) {
        let world = World::new().await;
        world.peers.next(Step::Reserve, [trouble.clone()]);
        let told = world.buy("one").await.expect_err("given up");
        given_up(&world, &told).await;
        assert_eq!(world.peers.asked(Step::Charge), 0, "{trouble:?}");
        // The release and the refund stand, so that what comes late finds it over.
        let order = world.only().await.id;
        let played = world.peers.look();
        assert_eq!(played.reservations[&order].0, shop_contracts::inventory::State::Released);
        assert_eq!(played.payments[&order].0, payments::State::Void);
    }
}

#[tokio::test]
async fn a_charge_whose_answer_is_lost_is_asked_about_and_counts() {
    let world = World::new().await;
    world.peers.next(Step::Charge, [Trouble::AnswerLost]);
    let order = world.buy("one").await.expect("confirmed");
    confirmed(&world).await;
    assert_eq!((world.peers.asked(Step::Charge), world.peers.asked(Step::AskPayment)), (1, 1));
    assert!(order.took.paying.is_some());
}

#[tokio::test]
async fn a_charge_that_never_answers_is_asked_about_and_counts() {
    let world = World::with(SHORT, LONG).await;
    world.peers.next(Step::Charge, [Trouble::Hangs]);
    let order = world.buy("one").await.expect("confirmed");
    confirmed(&world).await;
    assert_eq!(world.peers.asked(Step::Charge), 1);
    assert!(order.took.paying >= Some(2_000_000), "{:?}", order.took);
}

#[tokio::test]
async fn a_charge_that_is_answered_late_is_asked_about_and_counts() {
    let world = World::with(SHORT, LONG).await;
    let gate = Gate::new();
    world.peers.next(Step::Charge, [Trouble::After(gate.clone())]);
    let buying = world.start("one");
    gate.meet().await;
    buying.await.expect("no panic").expect("confirmed");
    confirmed(&world).await;
}

#[tokio::test]
async fn a_charge_that_never_arrived_is_ended_and_cannot_come_late() {
    let world = World::with(SHORT, LONG).await;
    let gate = Gate::new();
    world.peers.next(Step::Charge, [Trouble::Before(gate.clone())]);
    let buying = world.start("one");
    gate.meet().await;
    let told = buying.await.expect("no panic").expect_err("given up");
    given_up(&world, &told).await;
    assert_eq!(world.peers.asked(Step::AskPayment), 4, "the pauses are used up");

    // Now it arrives after all. Nobody waits for it any more.
    gate.meet().await;
    assert_eq!(world.peers.kept(), 0);
    assert_eq!(world.only().await.state, State::Cancelled);
}

#[tokio::test]
async fn a_charge_that_is_refused_without_a_reason_is_ended() {
    let refused = [Kind::Unavailable, Kind::TimedOut, Kind::Internal, Kind::Conflict];
    for trouble in refused.map(Trouble::Refused).into_iter().chain([Trouble::RequestLost]) {
        let world = World::new().await;
        world.peers.next(Step::Charge, [trouble]);
        let told = world.buy("one").await.expect_err("given up");
        given_up(&world, &told).await;
        assert_eq!(world.peers.asked(Step::Refund), 1);
    }
}

#[tokio::test]
async fn a_pending_payment_is_asked_about_until_it_is_known() {
    let world = World::new().await;
    let gate = Gate::new();
    let fails = [Trouble::Refused(Kind::Unavailable), Trouble::AnswerLost];
    world.peers.next(Step::AskPayment, [Trouble::Fine].into_iter().chain(fails));
    world.peers.next(Step::AskPayment, [Trouble::Before(gate.clone())]);
    let (client, wish) = (world.client.clone(), world.wish("one", "tok_pending"));
    let buying = tokio::spawn(async move { client.place(&wish).await });
    gate.meet().await;
    for payment in world.peers.look().payments.values_mut() {
        payment.0 = payments::State::Charged;
    }
    gate.meet().await;
    buying.await.expect("no panic").expect("confirmed");
    confirmed(&world).await;
    assert_eq!(world.peers.asked(Step::AskPayment), 4);
}

#[tokio::test]
async fn a_payment_that_stays_pending_is_given_back() {
    let world = World::new().await;
    let told = world.client.place(&world.wish("one", "tok_pending")).await.expect_err("given up");
    given_up(&world, &told).await;
    assert_eq!((world.peers.asked(Step::AskPayment), world.peers.asked(Step::Refund)), (4, 1));
}

#[tokio::test]
async fn a_commit_is_asked_again_until_it_is_answered() {
    let world = World::new().await;
    let fails = [Trouble::AnswerLost, Trouble::RequestLost, Trouble::Refused(Kind::Internal)];
    world.peers.next(Step::Commit, fails);
    world.buy("one").await.expect("confirmed");
    confirmed(&world).await;
    assert_eq!(world.peers.asked(Step::Commit), 4);
}

#[tokio::test]
async fn a_paid_order_whose_commit_fails_stays_paid_and_is_confirmed_later() {
    let world = World::with(LONG, Duration::from_millis(100)).await;
    world.peers.always(Step::Commit, Trouble::Refused(Kind::Unavailable));
    let told = world.buy("one").await.expect_err("not confirmed yet");
    assert!(told.is(Kind::Unavailable), "{told}");
    let order = world.only().await;
    assert_eq!((order.state, told.instance), (State::Paid, address(&order)));
    assert_eq!((world.peers.kept(), world.peers.held()), (950, 1));
    let open = world.client.books().await.expect("books");
    assert_eq!((open.open, open.revenue), (1, 0));
    let again = world.buy("one").await.expect_err("still under way");
    assert!(again.is(Kind::Conflict), "{again}");
    assert_eq!(again.instance, address(&order));

    world.peers.calm();
    let recovered = world.orders().await.recover().await.expect("a database");
    assert_eq!((recovered.confirmed, recovered.cancelled, recovered.open), (1, 0, 0));
    confirmed(&world).await;
    assert_eq!(world.buy("one").await.expect("the same wish").id, order.id);
    assert_eq!(world.cart(), []);
}

#[tokio::test]
async fn a_paid_order_for_which_nothing_is_held_is_given_back() {
    for kind in [Kind::Conflict, Kind::NotFound] {
        let world = World::new().await;
        world.peers.always(Step::Commit, Trouble::Refused(kind));
        let told = world.buy("one").await.expect_err("given up");
        given_up(&world, &told).await;
        let order = world.only().await.id;
        assert_eq!(world.peers.look().payments[&order].0, payments::State::Refunded);
    }
}

#[tokio::test]
async fn what_undoes_is_asked_again_until_it_is_answered() {
    let world = World::new().await;
    let fails = || [Trouble::AnswerLost, Trouble::RequestLost, Trouble::Refused(Kind::TimedOut)];
    world.peers.next(Step::Charge, [Trouble::RequestLost]);
    world.peers.next(Step::Refund, fails());
    world.peers.next(Step::Release, fails());
    let told = world.buy("one").await.expect_err("given up");
    given_up(&world, &told).await;
    assert_eq!((world.peers.asked(Step::Refund), world.peers.asked(Step::Release)), (4, 4));
}

#[tokio::test]
async fn an_order_that_cannot_be_undone_stays_so_until_it_can() {
    for broken in [Step::Refund, Step::Release] {
        let world = World::new().await;
        // Charged, and we never learn it.
        world.peers.next(Step::Charge, [Trouble::AnswerLost]);
        world.peers.always(Step::AskPayment, Trouble::Refused(Kind::Unavailable));
        world.peers.always(broken, Trouble::Refused(Kind::Unavailable));
        let told = world.buy("one").await.expect_err("given up");
        assert!(told.is(Kind::Unavailable), "{told}");
        assert_eq!(world.only().await.state, State::Cancelling);
        // The other one was undone all the same.
        let left = if broken == Step::Refund { (950, 0) } else { (0, 1) };
        assert_eq!((world.peers.kept(), world.peers.held()), left);
        assert_eq!(world.buy("one").await.expect_err("the same wish"), told);

        let recovered = world.orders().await.recover().await.expect("a database");
        assert_eq!((recovered.confirmed, recovered.cancelled, recovered.open), (0, 0, 1));
        world.peers.calm();
        let recovered = world.orders().await.recover().await.expect("a database");
        assert_eq!((recovered.confirmed, recovered.cancelled, recovered.open), (0, 1, 0));
        given_up(&world, &told).await;
    }
}

#[tokio::test]
async fn who_cannot_be_told_has_bought_all_the_same() {
    let refused = [Kind::Unavailable, Kind::TimedOut, Kind::NotFound].map(Trouble::Refused);
    for trouble in refused.into_iter().chain([Trouble::AnswerLost]) {
        let world = World::new().await;
        world.peers.next(Step::Notify, [trouble]);
        let order = world.buy("one").await.expect("confirmed");
        confirmed(&world).await;
        assert_eq!((order.took.notifying, world.cart()), (None, vec![]));
    }
    let world = World::new().await;
    world.peers.look().mail_state = Some(notifications::State::Failed);
    let order = world.buy("one").await.expect("confirmed");
    confirmed(&world).await;
    assert_eq!(order.took.notifying, None);
}

#[tokio::test]
async fn a_mail_server_that_hangs_holds_up_and_does_not_undo() {
    let world = World::with(SHORT, LONG).await;
    world.peers.next(Step::Notify, [Trouble::Hangs]);
    let order = world.buy("one").await.expect("confirmed");
    confirmed(&world).await;
    assert!(order.took.confirmed < Some(2_000_000), "confirmed before: {:?}", order.took);
}

#[tokio::test]
async fn a_cart_that_cannot_be_emptied_undoes_nothing() {
    for trouble in [Trouble::Refused(Kind::Unavailable), Trouble::RequestLost] {
        let world = World::new().await;
        world.peers.next(Step::Cart, [Trouble::Fine, trouble]);
        world.buy("one").await.expect("confirmed");
        confirmed(&world).await;
        assert_eq!(world.cart().len(), 2);
    }
}

#[tokio::test]
async fn only_what_was_bought_leaves_the_cart() {
    let world = World::new().await;
    let gate = Gate::new();
    world.peers.next(Step::Charge, [Trouble::Before(gate.clone())]);
    let buying = world.start("one");
    gate.meet().await;
    // Meanwhile: five teas instead of two, no milk, and bread.
    let bread = shop_contracts::id::ProductId::new();
    world.fill(world.tea, "tea", 5, 400);
    world.peers.look().carts.get_mut(&world.customer).expect("a cart").remove(&world.milk);
    world.fill(bread, "bread", 1, 300);
    gate.meet().await;
    buying.await.expect("no panic").expect("confirmed");
    confirmed(&world).await;
    assert_eq!(world.cart(), [(world.tea, 3), (bread, 1)]);
}
