//! Customers who buy, while the process that brings their orders to an end dies again and again.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use shop_contracts::id::{CustomerId, OrderId, ProductId};
use shop_contracts::orders::{Order, Place, State};
use shop_contracts::text::{Card, IdempotencyKey};
use shop_contracts::{Kind, Peers, Problem, Quantity};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Counted, POINTS, WISHES};
use crate::apart::Apart;
use crate::whole::Shop;

/// From one customer to the next.
const EACH: Duration = Duration::from_millis(15);

/// One card of so many is declined.
const DECLINED: usize = 5;

/// How long it is waited for an order that comes by the point at which it dies.
const COMES_BY: Duration = Duration::from_secs(10);

/// How long it is waited for a service that is about to be back.
const PATIENCE: Duration = Duration::from_secs(60);

/// What somebody wants, and how they pay.
#[derive(Clone)]
struct Wish {
    customer: CustomerId,
    product: ProductId,
    quantity: u32,
    card: &'static str,
    key: String,
}

/// So many wishes, drawn from `seed`.
fn wishes(seed: u64, accounts: &[CustomerId], products: &[ProductId]) -> Vec<Wish> {
    let mut random = StdRng::seed_from_u64(seed);
    let wish = |number: usize| Wish {
        customer: accounts[number % accounts.len()],
        product: products[random.random_range(0..products.len())],
        quantity: random.random_range(1..=2),
        card: if number.is_multiple_of(DECLINED) { "tok_declined" } else { "tok_ok" },
        key: format!("wish-{seed:06}-{number:04}"),
    };
    (0..WISHES).map(wish).collect()
}

/// Has all of them bought. At each point of [`POINTS`] the service is killed once, by the first order
/// that comes there, and started again.
pub(super) async fn rush(
    shop: &Shop,
    orders: &mut Apart,
    seed: u64,
    accounts: &[CustomerId],
    products: &[ProductId],
    counted: &mut Counted,
) -> Result<()> {
    // What is not paid for stays in the cart. After twenty seeds that is more than a cart takes.
    for account in accounts {
        shop.peers.carts.clear(*account).await?;
    }
    let wishes = wishes(seed, accounts, products);
    for (point, wishes) in POINTS.iter().zip(wishes.chunks(WISHES.div_ceil(POINTS.len()))) {
        // Who finds nobody there asks again; so the two go on together.
        let dying = async {
            // When some are at their ends and some under way.
            sleep(EACH * u32::try_from(wishes.len() / 2)?).await;
            arm(orders, point).await?;
            if !orders.dies_within(COMES_BY).await {
                arm(orders, "off").await?;
            }
            if orders.dies_within(Duration::ZERO).await {
                counted.killed.push(point);
                orders.start().await?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(buy(&shop.peers, wishes), dying)?;
    }
    counted.wishes += WISHES as u64;
    Ok(())
}

/// Says where to die. Who is just there may do so before it has said yes.
async fn arm(orders: &mut Apart, point: &str) -> Result<()> {
    let set = orders.set("fault.orders.crash", point).await;
    if set.is_err() && orders.dies_within(Duration::from_secs(1)).await {
        return Ok(());
    }
    set
}

async fn buy(peers: &Peers, wishes: &[Wish]) -> Result<()> {
    let mut buying = JoinSet::new();
    for (nth, wish) in (0..).zip(wishes.iter().cloned()) {
        let peers = peers.clone();
        buying.spawn(async move {
            sleep(EACH * nth).await;
            until_it_is_an_order(&peers, &wish).await
        });
    }
    buying.join_all().await.into_iter().collect()
}

/// As a shop's page does it: the same wish is said until somebody has heard it.
async fn until_it_is_an_order(peers: &Peers, wish: &Wish) -> Result<()> {
    let text = || "a text that the contracts allow".to_owned();
    let place = Place {
        customer: wish.customer,
        card: Card::try_from(wish.card.to_owned()).ok().with_context(text)?,
        key: IdempotencyKey::try_from(wish.key.clone()).ok().with_context(text)?,
    };
    let quantity = Quantity::try_from(wish.quantity).map_err(anyhow::Error::msg)?;
    let begun = Instant::now();
    let mut is_in_the_cart = false;
    loop {
        if !is_in_the_cart {
            let put = peers.carts.put(wish.customer, wish.product, quantity);
            put.await.context("the cart")?;
            is_in_the_cart = true;
        }
        match peers.orders.place(&place).await {
            Ok(_) => return Ok(()),
            // An earlier order of the same customer's has just taken it out.
            Err(problem) if problem.is(Kind::EmptyCart) => is_in_the_cart = false,
            // There is an order, and it has come to nothing.
            Err(Problem { instance: Some(_), .. }) => return Ok(()),
            Err(problem) if problem.is(Kind::Unavailable) && begun.elapsed() < PATIENCE => {
                sleep(Duration::from_millis(20)).await;
            }
            Err(problem) => bail!("{}: {problem}", wish.key),
        }
    }
}

/// Waits until nothing is under way, or nothing has changed for so long, and counts what has become
/// of all orders.
pub(super) async fn count(
    shop: &Shop,
    accounts: &[CustomerId],
    still: Duration,
    counted: &mut Counted,
) -> Result<()> {
    settle(shop, still).await?;
    let mut orders: Vec<Order> = Vec::new();
    for account in accounts {
        orders.extend(shop.peers.orders.orders(*account).await?);
    }
    let those = |state: fn(State) -> bool| orders.iter().filter(move |order| state(order.state));
    let confirmed: HashSet<OrderId> =
        those(|state| state == State::Confirmed).map(|order| order.id).collect();
    counted.orders = orders.len() as u64;
    counted.confirmed = confirmed.len() as u64;
    counted.stuck = those(|state| !state.is_end()).count() as u64;
    counted.cancelled = counted.orders - counted.confirmed - counted.stuck;
    counted.twice = counted.orders.saturating_sub(counted.wishes);

    let (stock, books) = (shop.peers.inventory.books().await?, shop.peers.orders.books().await?);
    counted.pieces_lost = stock.reserved.unsigned_abs() + stock.sold.abs_diff(books.units);

    let provider = shop.setup.provider.books();
    let kept = provider.entries.iter().filter(|entry| !entry.receipt.refunded);
    let without_order: Vec<_> =
        kept.filter(|entry| !confirmed.contains(&OrderId(entry.key))).collect();
    counted.charged_without_order = without_order.len() as u64;
    counted.cents_without_order = without_order.iter().map(|entry| entry.receipt.amount).sum();

    let mut letters: HashMap<OrderId, u64> = HashMap::new();
    for mail in shop.setup.mail.sent() {
        *letters.entry(OrderId(mail.key)).or_default() += 1;
    }
    counted.untold = confirmed.iter().filter(|order| !letters.contains_key(order)).count() as u64;
    counted.told_twice = letters.values().filter(|times| **times > 1).count() as u64;
    Ok(())
}

async fn settle(shop: &Shop, still: Duration) -> Result<()> {
    let mut seen = None;
    let mut since = Instant::now();
    while since.elapsed() < still {
        let books = shop.peers.orders.books().await?;
        let mails = shop.setup.mail.sent().len();
        if books.open == 0 && i64::try_from(mails)? >= books.confirmed {
            return Ok(());
        }
        let now = Some((books, mails));
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
