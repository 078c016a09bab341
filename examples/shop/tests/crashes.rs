//! The process of the orders service is killed at every point of a checkout that is a saga, one after
//! the other and none left out, and started again: each order comes to its one right end, and each
//! effect is there once or not at all. And whoever takes it up goes on in the trace that began it.

#[allow(dead_code, reason = "of what is shared, each program uses a part")]
mod collector;
mod witness;

use std::path::Path;
use std::time::{Duration, Instant};

use collector::{Collector, Mood};
use observability::telemetry;
use shop::apart::Apart;
use shop::place::Place;
use shop::whole::{Setup, Shop};
use shop::{books, goods};
use shop_contracts::id::{CustomerId, OrderId, ProductId};
use shop_contracts::inventory::State as Hold;
use shop_contracts::orders::{self, Order, State};
use shop_contracts::text::{Card, Email, IdempotencyKey, Name, Password};
use shop_contracts::users::{NewCustomer, Registration, Role};
use shop_contracts::{Kind, Peers, Problem, Quantity, payments};
use shop_outside::{mail, payment};
use tokio::time::sleep;
use witness::Witness;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Long enough for a hold to be dropped while the money is asked for.
const CHARGING: Duration = Duration::from_millis(300);

/// How an order is brought to a point.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// All is well.
    Confirmed,
    /// The card is declined: what is held goes back.
    Declined,
    /// What was held is gone when it is paid: the money goes back as well.
    Gone,
}

/// Every step, by its name in `fault.orders.crash`, and an order that comes there.
const STEPS: [(&str, Fate); 6] = [
    ("reserve", Fate::Confirmed),
    ("charge", Fate::Confirmed),
    ("confirm", Fate::Confirmed),
    ("empty", Fate::Confirmed),
    ("release", Fate::Declined),
    ("refund", Fate::Gone),
];

/// Before it is asked for; done, and the answer lost; written down.
const MOMENTS: [&str; 3] = ["before", "lost", "after"];

struct Scene {
    shop: Shop,
    orders: Apart,
    customer: CustomerId,
    product: ProductId,
    witness: Witness,
}

impl Scene {
    async fn open(place: &Place, folder: &Path) -> Scene {
        let program = Path::new(env!("CARGO_BIN_EXE_shop"));
        let more = ["--lease", "0.5", "--set", "pattern.async=on"];
        let mut orders = Apart::new(program, "orders", place, folder, &more).expect("a free port");
        let collector = Collector::open(Mood::Takes).await;
        orders.sends_to(collector.url());
        let collected = telemetry::Setup {
            collector: Some(collector.url().to_owned()),
            ..telemetry::Setup::default()
        };
        let setup = Setup {
            telemetry: Some(collected),
            provider: payment::Provider::new(CHARGING),
            mail: mail::Server::new(Duration::from_millis(2)),
            apart: vec![("orders", orders.url().to_owned())],
            ..Setup::default()
        };
        let shop = Shop::open(place, setup).await.expect("it opens");
        for peer in shop.peers.all() {
            if peer.name() != "orders" {
                orders.finds(peer.name(), peer.base());
            }
        }
        orders.start().await.expect("it starts");
        let witness = Witness::hears(&shop.bus, collector).await;
        let products = goods::take_in(&shop.peers, 1, 20).await.expect("goods");
        let text = "somebody@example.org".to_owned();
        let registration = Registration {
            email: Email::try_from(text.clone()).expect("an address"),
            password: Password::try_from(text).expect("a password"),
            name: Name::try_from("Somebody".to_owned()).expect("a name"),
        };
        let new = NewCustomer { registration, role: Role::Customer };
        let customer = shop.peers.users.register(&new).await.expect("an account").id;
        Scene { shop, orders, customer, product: products[0], witness }
    }

    fn peers(&self) -> &Peers {
        &self.shop.peers
    }

    /// Says the same wish until it is heard.
    async fn buys(&self, key: &str, fate: Fate) -> OrderId {
        let one = Quantity::try_from(1_u32).expect("a quantity");
        self.peers().carts.put(self.customer, self.product, one).await.expect("in the cart");
        let card = if fate == Fate::Declined { "tok_declined" } else { "tok_ok" };
        let wish = orders::Place {
            customer: self.customer,
            card: Card::try_from(card.to_owned()).expect("a card"),
            key: IdempotencyKey::try_from(key.to_owned()).expect("a key"),
        };
        let begun = Instant::now();
        loop {
            match self.peers().orders.place(&wish).await {
                Ok(order) => return order.id,
                Err(Problem { instance: Some(instance), .. }) => {
                    let id = instance.rsplit('/').next().expect("an address");
                    return id.parse().expect("an order's");
                }
                Err(problem) if problem.is(Kind::Unavailable) && begun.elapsed() < PATIENCE => {
                    sleep(Duration::from_millis(10)).await;
                }
                Err(problem) => panic!("{problem}"),
            }
        }
    }

    /// Drops what is held for the order, while its money is asked for.
    async fn hold_is_gone(&self, order: OrderId) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let held = self.peers().inventory.reservation(order).await;
            let asked = self.peers().payments.payment(order).await;
            if held.is_ok_and(|held| held.state == Hold::Held)
                && asked.is_ok_and(|asked| asked.state == payments::State::Pending)
            {
                self.peers().inventory.release(order).await.expect("released");
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("nobody has asked for the money");
    }

    async fn ends(&self, order: OrderId) -> Order {
        let begun = Instant::now();
        loop {
            let looked = self.peers().orders.order(self.customer, order).await;
            let cart = self.peers().carts.cart(self.customer).await.expect("a cart");
            if let Ok(order) = &looked
                && order.state.is_end()
                // The last step, behind the confirmation.
                && (order.state != State::Confirmed || cart.lines.is_empty())
            {
                return order.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not come to its end: {looked:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn letters(&self, order: OrderId) -> usize {
        self.shop.setup.mail.sent().iter().filter(|mail| mail.key == order.0).count()
    }

    /// The one right end, and what is left of the order elsewhere.
    async fn is_as_it_should_be(&self, order: OrderId, fate: Fate, point: &str) {
        let ended = self.ends(order).await;
        let (state, hold) = match fate {
            Fate::Confirmed => (State::Confirmed, Hold::Sold),
            Fate::Declined | Fate::Gone => (State::Cancelled, Hold::Released),
        };
        assert_eq!(ended.state, state, "{point}: {:?}", ended.reason);
        let held = self.peers().inventory.reservation(order).await.expect("a reservation");
        assert_eq!(held.state, hold, "{point}");
        let booked = self.shop.setup.provider.books();
        let booked: Vec<_> = booked.entries.iter().filter(|entry| entry.key == order.0).collect();
        match fate {
            Fate::Declined => assert!(booked.is_empty(), "{point}: {booked:?}"),
            _ => {
                assert_eq!(booked.len(), 1, "{point}");
                assert_eq!(booked[0].receipt.amount, ended.total.amount, "{point}");
                assert_eq!(booked[0].receipt.refunded, fate == Fate::Gone, "{point}");
            }
        }
        let wanted = usize::from(fate == Fate::Confirmed);
        let begun = Instant::now();
        while self.letters(order) < wanted && begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.letters(order), wanted, "{point}");
    }

    /// Whoever went on with it did so in the trace in which it was placed, and says that it was not
    /// the first. Where nothing was left to do, nobody had to.
    async fn is_one_trace(&self, order: OrderId, fate: Fate, point: &str) {
        let placed = self.peers().orders.trace(&order.to_string()).await.expect("a trace").trace;
        let placed = placed.expect("the trace in which it was placed");
        let kinds: &[&str] = match fate {
            Fate::Confirmed => {
                &["stock.reserved", "payment.authorized", "order.confirmed", "notification.sent"]
            }
            Fate::Declined => {
                &["stock.reserved", "payment.declined", "stock.released", "order.cancelled"]
            }
            Fate::Gone => &["payment.authorized", "payment.refunded", "order.cancelled"],
        };
        // What the scene itself drops there, nobody asked for in that trace.
        let ours = (fate == Fate::Gone).then_some("stock.released.v1");
        self.witness.all_in(&placed, order, kinds, ours, point).await;
        if !["after_empty", "after_release"].contains(&point) {
            self.witness.was_taken_up_in(&placed, point).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_point_an_order_comes_to_its_one_right_end() {
    let place = Place::passing().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    let mut scene = Scene::open(&place, folder.path()).await;
    for (step, fate) in STEPS {
        for moment in MOMENTS {
            let point = format!("{moment}_{step}");
            scene.orders.set("fault.orders.crash", &point).await.expect("a point");
            let order = scene.buys(&point, fate).await;
            if fate == Fate::Gone {
                scene.hold_is_gone(order).await;
            }
            assert!(scene.orders.dies_within(PATIENCE).await, "{point}: it did not die");
            scene.orders.start().await.expect("it starts again");
            scene.is_as_it_should_be(order, fate, &point).await;
            scene.is_one_trace(order, fate, &point).await;
        }
    }
    let books = books::audit(scene.peers()).await.expect("books");
    for invariant in &books {
        assert!(invariant.holds, "{}: {}", invariant.what, invariant.figures);
    }
    drop(scene.orders);
    scene.shop.close().await;
}
