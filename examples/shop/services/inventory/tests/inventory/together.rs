//! Many at once, begun at a barrier.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::inventory::{Books, Client, State};
use shop_contracts::{Kind, Problem};
use testbed::together;
use tokio::task::JoinSet;

use crate::world::{World, wanted};

const TASKS: usize = 32;

/// Does `work` in all tasks at once; what each came to, in their order.
async fn all<T, F>(client: &Client, work: impl Fn(usize, Client) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    together((0..TASKS).map(|task| work(task, client.clone()))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_one_is_sold_to_one() {
    let world = World::new().await;
    let tea = world.delivered(5).await;
    let answers = all(&world.client, |_, client| async move {
        client.reserve(OrderId::new(), &wanted([(tea, 1)])).await
    })
    .await;
    let (held, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(held.len(), 5);
    for refusal in refused {
        let problem = refusal.expect_err("a refusal");
        assert!(problem.is(Kind::OutOfStock), "{problem:?}");
    }
    assert_eq!(world.counts(tea).await, (0, 5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reservation_asked_for_many_times_at_once_is_one() {
    let world = World::new().await;
    let tea = world.delivered(50).await;
    let order = OrderId::new();
    let answers =
        all(
            &world.client,
            |_, client| async move { client.reserve(order, &wanted([(tea, 2)])).await },
        )
        .await;
    for answer in answers {
        assert_eq!(answer.expect("held").state, State::Held);
    }
    assert_eq!(world.counts(tea).await, (48, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_commit_and_release_one_wins() {
    let world = World::new().await;
    for _ in 0..10 {
        let tea = world.delivered(9).await;
        let order = OrderId::new();
        world.client.reserve(order, &wanted([(tea, 2)])).await.expect("enough");
        let answers = all(&world.client, |task, client| async move {
            let commits = task.is_multiple_of(2);
            let answer = if commits {
                client.commit(order).await.map(drop)
            } else {
                client.release(order).await
            };
            (commits, answer)
        })
        .await;
        let sold = world.counts(tea).await == (7, 0, 2);
        assert!(sold || world.counts(tea).await == (9, 0, 0));
        for (commits, answer) in answers {
            assert_eq!(answer.is_ok(), commits == sold, "{answer:?}");
            assert!(answer.is_ok() || answer.is_err_and(|problem| problem.is(Kind::Conflict)));
        }
    }
}

/// A late reservation, and the release that may overtake it: whoever is first, nothing stays held.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_overtakes_leaves_nothing_held() {
    let world = World::new().await;
    let tea = world.delivered(32).await;
    let orders: Vec<_> = (0..TASKS / 2).map(|_| OrderId::new()).collect();
    let answers = all(&world.client, |task, client| {
        let order = orders[task / 2];
        async move {
            if task.is_multiple_of(2) {
                client.release(order).await
            } else {
                client.reserve(order, &wanted([(tea, 1)])).await.map(drop)
            }
        }
    })
    .await;
    for (task, answer) in answers.iter().enumerate() {
        let late = |problem: &Problem| task % 2 == 1 && problem.is(Kind::Conflict);
        assert!(answer.as_ref().err().is_none_or(late), "{answer:?}");
    }
    assert_eq!(world.counts(tea).await, (32, 0, 0));
}

/// What one customer of the load came to.
#[derive(Default)]
struct Bought {
    held: bool,
    sold: i64,
}

/// Reserves two products, in an order that another task has the other way round, and then buys
/// them, gives them back, or does both at once.
async fn buy(task: usize, client: Client, products: Arc<[ProductId]>) -> Bought {
    let (a, b) = (products[task % products.len()], products[(task + 1) % products.len()]);
    let lines =
        if task.is_multiple_of(2) { wanted([(a, 3), (b, 2)]) } else { wanted([(b, 3), (a, 2)]) };
    let order = OrderId::new();
    match client.reserve(order, &lines).await {
        Ok(_) => {}
        Err(problem) if problem.is(Kind::OutOfStock) => return Bought::default(),
        Err(problem) => panic!("{problem:?}"),
    }
    let sold = match task % 3 {
        0 => client.commit(order).await.map(|_| true),
        1 => client.release(order).await.map(|()| false),
        _ => {
            let (committed, released) = tokio::join!(client.commit(order), client.release(order));
            assert_ne!(committed.is_ok(), released.is_ok(), "{committed:?} {released:?}");
            Ok(committed.is_ok())
        }
    };
    Bought { held: true, sold: if sold.expect("it was held") { 5 } else { 0 } }
}

fn add_up(books: &Books) {
    assert_eq!(books.available + books.reserved + books.sold, books.delivered, "{books:?}");
    assert!(books.lowest >= 0 && books.reserved >= 0, "{books:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_add_up_at_every_moment() {
    let world = World::new().await;
    let (mut sold, mut refused) = (0, 0);
    for _ in 0..20 {
        let mut products = Vec::new();
        for _ in 0..4 {
            products.push(world.delivered(20).await);
        }
        let products: Arc<[_]> = products.into();

        let over = Arc::new(AtomicBool::new(false));
        let mut auditors = JoinSet::new();
        for _ in 0..2 {
            let (client, over) = (world.client.clone(), Arc::clone(&over));
            auditors.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    add_up(&client.books().await.expect("books"));
                }
            });
        }
        let bought =
            all(&world.client, |task, client| buy(task, client, Arc::clone(&products))).await;
        over.store(true, Ordering::Relaxed);
        while let Some(audit) = auditors.join_next().await {
            audit.expect("books that add up");
        }

        sold += bought.iter().map(|bought| bought.sold).sum::<i64>();
        refused += bought.iter().filter(|bought| !bought.held).count();
        let books = world.client.books().await.expect("books");
        add_up(&books);
        assert_eq!((books.reserved, books.sold), (0, sold), "as the customers were told");
    }
    assert!(sold > 0 && refused > 0, "sold {sold}, refused {refused}: there was no contention");
}
