//! The carts service, asked over a real connection by the client that its callers use.

mod catalog;

use axum::Router;
use axum::body::Bytes;
use axum::http::Method;
use shop_carts::Carts;
use shop_contracts::carts::{Cart, Client, Line, MOST_LINES};
use shop_contracts::id::{CustomerId, ProductId};
use shop_contracts::{Kind, Money, Peer, Problem, Quantity};
use shop_service::{Stop, serve_locally};
use testbed::place::Place;
use testbed::together;

use crate::catalog::Catalog;

struct World {
    client: Client,
    catalog: Catalog,
    ada: CustomerId,
    _stop: Stop,
    _place: Place,
}

impl World {
    async fn new() -> World {
        let (stop, place, catalog) = (Stop::default(), Place::chosen().await, Catalog::default());
        let played = start("catalog", catalog.router(), &stop).await;
        let carts = Carts::open(place.url(), shop_contracts::catalog::Client(played)).await;
        let carts = carts.expect("a database");
        let client = Client(start("carts", carts.router(), &stop).await);
        World { client, catalog, ada: CustomerId::new(), _stop: stop, _place: place }
    }

    async fn put(&self, product: ProductId, number: u32) -> Result<Cart, Problem> {
        self.client.put(self.ada, product, quantity(number)).await
    }

    async fn cart(&self) -> Result<Cart, Problem> {
        self.client.cart(self.ada).await
    }

    /// Does `work` with each of `products` at once.
    async fn together<F>(
        &self,
        products: &[ProductId],
        work: fn(Client, CustomerId, ProductId) -> F,
    ) -> Vec<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        together(products.iter().map(|&product| work(self.client.clone(), self.ada, product))).await
    }
}

async fn start(name: &'static str, router: Router, stop: &Stop) -> Peer {
    let running = serve_locally(name, router, stop).await.expect("a port");
    Peer::new(name, running.url())
}

fn quantity(number: u32) -> Quantity {
    Quantity::try_from(number).expect("a quantity")
}

fn line(product: ProductId, name: &str, number: u32, cents: i64) -> Line {
    let (name, price) = (name.to_owned(), Money::euros(cents));
    Line { product, name, quantity: quantity(number), price }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Problem>, kind: Kind) -> Problem {
    let problem = answer.expect_err("a refusal");
    assert!(problem.is(kind), "{kind:?} was expected, not {problem:?}");
    problem
}

#[tokio::test]
async fn a_cart_that_nobody_touched_is_empty_and_asks_nobody() {
    let world = World::new().await;
    let empty = Cart { lines: vec![], total: Money::euros(0) };
    assert_eq!(world.cart().await, Ok(empty));
    assert!(world.catalog.asked().is_empty());
}

#[tokio::test]
async fn a_line_says_how_many_from_now_on() {
    let world = World::new().await;
    let (tea, milk) = (world.catalog.sells("Tea", 450), world.catalog.sells("Milk", 129));
    world.put(milk, 3).await.expect("room");
    world.put(tea, 1).await.expect("room");
    // Again, and another number: not so many more.
    world.put(tea, 2).await.expect("room");
    let cart = world.put(tea, 2).await.expect("room");
    let lines = vec![line(tea, "Tea", 2, 450), line(milk, "Milk", 3, 129)];
    assert_eq!(cart, Cart { lines, total: Money::euros(2 * 450 + 3 * 129) });
    assert_eq!(world.cart().await, Ok(cart));
}

#[tokio::test]
async fn a_cart_is_priced_now_and_by_one_question() {
    let world = World::new().await;
    let (tea, milk) = (world.catalog.sells("Tea", 450), world.catalog.sells("Milk", 129));
    world.put(tea, 1).await.expect("room");
    world.put(milk, 1).await.expect("room");
    world.catalog.reprices(tea, "Green tea", 500);
    world.catalog.asked();
    let cart = world.cart().await.expect("a cart");
    assert_eq!(cart.total, Money::euros(629));
    assert_eq!(cart.lines[0], line(tea, "Green tea", 1, 500));
    assert_eq!(world.catalog.asked(), ["quotes for 2"]);
}

#[tokio::test]
async fn what_was_removed_is_gone_and_the_rest_is_not() {
    let world = World::new().await;
    let (tea, milk) = (world.catalog.sells("Tea", 450), world.catalog.sells("Milk", 129));
    world.put(tea, 1).await.expect("room");
    world.put(milk, 1).await.expect("room");
    for _ in 0..2 {
        let cart = world.client.remove(world.ada, tea).await.expect("a cart");
        assert_eq!(cart.lines, [line(milk, "Milk", 1, 129)]);
    }
    for _ in 0..2 {
        world.client.clear(world.ada).await.expect("emptied");
        assert_eq!(world.cart().await.expect("a cart").lines, []);
    }
    world.put(tea, 1).await.expect("room again");
}

#[tokio::test]
async fn each_has_a_cart_of_their_own() {
    let world = World::new().await;
    let tea = world.catalog.sells("Tea", 450);
    let bob = CustomerId::new();
    world.put(tea, 1).await.expect("room");
    assert_eq!(world.client.cart(bob).await.expect("a cart").lines, []);
    world.client.put(bob, tea, quantity(5)).await.expect("room");
    world.client.clear(bob).await.expect("emptied");
    assert_eq!(world.cart().await.expect("a cart").lines, [line(tea, "Tea", 1, 450)]);
}

#[tokio::test]
async fn what_is_not_for_sale_does_not_go_in() {
    let world = World::new().await;
    refused(world.put(ProductId::new(), 1).await, Kind::NotFound);
    assert_eq!(world.cart().await.expect("a cart").lines, []);
}

#[tokio::test]
async fn what_is_no_longer_for_sale_is_neither_shown_nor_paid() {
    let world = World::new().await;
    let (tea, milk) = (world.catalog.sells("Tea", 450), world.catalog.sells("Milk", 129));
    world.put(tea, 1).await.expect("room");
    world.put(milk, 1).await.expect("room");
    world.catalog.forgets(tea);
    let cart = world.cart().await.expect("a cart");
    assert_eq!(cart, Cart { lines: vec![line(milk, "Milk", 1, 129)], total: Money::euros(129) });
    // Its line has stayed.
    world.catalog.reprices(tea, "Tea", 451);
    assert_eq!(world.cart().await.expect("a cart").total, Money::euros(580));
    world.catalog.forgets(tea);
    world.client.remove(world.ada, tea).await.expect("what is not shown can be removed");
    world.catalog.reprices(tea, "Tea", 450);
    assert_eq!(world.cart().await.expect("a cart").total, Money::euros(129));
}

#[tokio::test]
async fn a_total_that_cannot_be_counted_is_refused_until_something_goes() {
    let world = World::new().await;
    let tea = world.catalog.sells("Tea", 1);
    let (gold, moon) =
        (world.catalog.sells("Gold", i64::MAX), world.catalog.sells("Moon", i64::MAX));
    world.put(tea, 1).await.expect("room");
    refused(world.put(gold, 2).await, Kind::Conflict);
    refused(world.put(gold, 1).await, Kind::Conflict);
    refused(world.cart().await, Kind::Conflict);
    refused(world.put(moon, 1).await, Kind::Conflict);
    refused(world.client.remove(world.ada, moon).await, Kind::Conflict);
    let cart = world.client.remove(world.ada, gold).await.expect("a sum again");
    assert_eq!(cart.lines, [line(tea, "Tea", 1, 1)]);
}

#[tokio::test]
async fn without_the_catalogue_nothing_goes_in_and_all_can_go_out() {
    let world = World::new().await;
    let (tea, milk) = (world.catalog.sells("Tea", 450), world.catalog.sells("Milk", 129));
    world.put(tea, 1).await.expect("room");

    world.catalog.answers(0);
    refused(world.put(milk, 1).await, Kind::Unavailable);
    refused(world.cart().await, Kind::Unavailable);
    world.catalog.recovers();
    assert_eq!(world.cart().await.expect("a cart").lines, [line(tea, "Tea", 1, 450)]);

    // It knows the product and is lost before it can say the prices: the change is made.
    world.catalog.answers(1);
    refused(world.put(milk, 2).await, Kind::Unavailable);
    world.catalog.recovers();
    assert_eq!(world.cart().await.expect("a cart").lines.len(), 2);
    assert_eq!(world.put(milk, 2).await.expect("asked again").total, Money::euros(708));

    world.catalog.answers(0);
    refused(world.client.remove(world.ada, milk).await, Kind::Unavailable);
    world.catalog.recovers();
    assert_eq!(world.cart().await.expect("a cart").lines, [line(tea, "Tea", 1, 450)]);

    world.catalog.answers(0);
    world.client.clear(world.ada).await.expect("emptied");
    assert_eq!(world.cart().await.expect("a cart").lines, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_change_one_cart_at_once_do_not_lose_each_other() {
    let world = World::new().await;
    let products: Vec<_> = (0..32).map(|n| world.catalog.sells("Tea", n + 1)).collect();
    let put =
        |client: Client, ada, product| async move { client.put(ada, product, quantity(1)).await };
    for answer in world.together(&products, put).await {
        answer.expect("room");
    }
    let cart = world.cart().await.expect("a cart");
    assert_eq!((cart.lines.len(), cart.total), (32, Money::euros(32 * 33 / 2)));

    let remove = |client: Client, ada, product| async move { client.remove(ada, product).await };
    for answer in world.together(&products[..31], remove).await {
        answer.expect("removed");
    }
    assert_eq!(world.cart().await.expect("a cart").total, Money::euros(32));
}

/// To empty a cart while others fill it: what is there afterwards is whole, and can be used.
#[tokio::test(flavor = "multi_thread")]
async fn who_empties_a_cart_while_others_fill_it_disturbs_nobody() {
    let world = World::new().await;
    let products: Vec<_> = (0..16).map(|_| world.catalog.sells("Tea", 1)).collect();
    let put_and_clear = |client: Client, ada, product| async move {
        client.put(ada, product, quantity(1)).await?;
        client.clear(ada).await?;
        client.put(ada, product, quantity(2)).await
    };
    for answer in world.together(&products, put_and_clear).await {
        answer.expect("room");
    }
    let cart = world.cart().await.expect("a cart");
    assert!(cart.lines.iter().all(|line| line.quantity == quantity(2)), "{cart:?}");
    // Nobody cleared after the last put.
    assert!(!cart.lines.is_empty());
}

#[tokio::test]
async fn a_full_cart_can_be_changed_and_has_room_again_where_something_goes() {
    let world = World::new().await;
    let products: Vec<_> = (0..MOST_LINES + 1).map(|_| world.catalog.sells("Tea", 1)).collect();
    let (last, rest) = products.split_last().expect("some");
    for &product in rest {
        world.put(product, 1).await.expect("room");
    }
    refused(world.put(*last, 1).await, Kind::Conflict);
    let cart = world.put(rest[0], 9).await.expect("it is in already");
    assert_eq!((cart.lines.len(), cart.total), (MOST_LINES, Money::euros(MOST_LINES as i64 + 8)));
    world.client.remove(world.ada, rest[0]).await.expect("removed");
    world.put(*last, 1).await.expect("room");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_place_in_a_cart_is_one_also_when_many_want_it() {
    let world = World::new().await;
    for _ in 1..MOST_LINES {
        world.put(world.catalog.sells("Tea", 1), 1).await.expect("room");
    }
    let rivals: Vec<_> = (0..8).map(|_| world.catalog.sells("Milk", 1)).collect();
    let put =
        |client: Client, ada, product| async move { client.put(ada, product, quantity(1)).await };
    for _ in 0..20 {
        let answers = world.together(&rivals, put).await;
        let (room, full): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((room.len(), full.len()), (1, 7));
        for answer in full {
            refused(answer, Kind::Conflict);
        }
        for &product in &rivals {
            world.client.remove(world.ada, product).await.expect("removed");
        }
        assert_eq!(world.cart().await.expect("a cart").lines.len(), MOST_LINES - 1);
    }
}

#[tokio::test]
async fn what_is_not_allowed_says_where() {
    let world = World::new().await;
    let tea = world.catalog.sells("Tea", 450);
    let here = format!("/carts/{}/items/{tea}", world.ada);
    for (method, path, body, kind) in [
        ("PUT", here.as_str(), "{", Kind::Malformed),
        ("PUT", &here, "{}", Kind::Invalid),
        ("PUT", &here, r#"{"quantity": 0}"#, Kind::Invalid),
        ("PUT", &here, r#"{"quantity": -1}"#, Kind::Invalid),
        ("PUT", &here, r#"{"quantity": 100}"#, Kind::Invalid),
        ("PUT", &here, r#"{"quantity": 1, "price": 0}"#, Kind::Invalid),
        ("PUT", &format!("/carts/{}/items/tea", world.ada), r#"{"quantity": 1}"#, Kind::Invalid),
        ("PUT", &format!("/carts/ada/items/{tea}"), r#"{"quantity": 1}"#, Kind::Invalid),
        ("DELETE", "/carts/ada", "", Kind::Invalid),
        ("GET", "/carts/ada", "", Kind::Invalid),
        ("GET", "/carts", "", Kind::NotFound),
        ("POST", &here, "", Kind::MethodNotAllowed),
    ] {
        let (method, body) = (method.parse().expect("a method"), body.to_owned().into());
        let answer = world.client.0.forward(method, path, body, &[]).await.expect("an answer");
        let problem: Problem = serde_json::from_slice(answer.body()).expect("a problem");
        assert_eq!(answer.status(), problem.status);
        assert!(problem.is(kind), "{path}: {problem:?}");
    }
    assert!(world.catalog.asked().is_empty(), "nobody was bothered with it");
}

#[tokio::test]
async fn it_says_that_it_is_well() {
    let world = World::new().await;
    let answer = world.client.0.forward(Method::GET, "/health", Bytes::new(), &[]).await;
    assert_eq!(answer.expect("an answer").status(), 200);
}
