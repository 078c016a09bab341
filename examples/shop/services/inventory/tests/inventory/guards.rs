//! The switch `pattern.lock`: what every variant promises, and what only some of them do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use locks::lease::{self, Lease, RedisHeld, RedisLease};
use shop_contracts::Kind;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::inventory::State;
use shop_flags::PatternLock;
use shop_inventory::leases::Leases;
use shop_inventory::{Options, Think};
use testbed::gate::Gate;
use testbed::together;

use crate::refused;
use crate::world::{World, wanted};

const ALL: [PatternLock; 5] = [
    PatternLock::None,
    PatternLock::Lease,
    PatternLock::Fencing,
    PatternLock::Lua,
    PatternLock::Conditional,
];
const PATIENCE: Duration = Duration::from_secs(10);

async fn guarded(lock: PatternLock, options: Options) -> World {
    World::guarded(testbed::redis::private().await.expect("a Redis"), lock, options).await
}

#[tokio::test]
async fn one_buyer_after_the_other_meets_the_same_whatever_guards() {
    for lock in ALL {
        let world = guarded(lock, Options::default()).await;
        let (tea, milk) = (world.delivered(5).await, world.delivered(1).await);
        let (order, lines) = (OrderId::new(), wanted([(tea, 2), (milk, 1)]));
        for _ in 0..2 {
            let held = world.client.reserve(order, &lines).await.expect("enough");
            assert_eq!(held.state, State::Held, "{lock:?}");
        }
        assert_eq!(world.counts(tea).await, (3, 2, 0), "{lock:?}");
        let too_many = OrderId::new();
        let of_both = wanted([(tea, 1), (milk, 1)]);
        let problem = refused(world.client.reserve(too_many, &of_both).await, Kind::OutOfStock);
        assert!(problem.to_string().contains("0 are left"), "{lock:?}: {problem}");
        world.client.reserve(too_many, &wanted([(tea, 3)])).await.expect("nothing was kept");
        world.client.release(order).await.expect("held");
        refused(world.client.reserve(order, &lines).await, Kind::Conflict);
        world.client.reserve(OrderId::new(), &lines).await.expect("it is for sale again");
        world.client.commit(too_many).await.expect("held");
        assert_eq!(world.counts(tea).await, (0, 2, 3), "{lock:?}");
        // What an order was told stays so, also when nothing is left.
        let sold = world.client.reserve(too_many, &wanted([(tea, 3)])).await;
        assert_eq!(sold.map(|held| held.state), Ok(State::Sold), "{lock:?}");
        let nobody = wanted([(ProductId::new(), 1)]);
        refused(world.client.reserve(OrderId::new(), &nobody).await, Kind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_gets_what_there_is_with_whatever_guards() {
    // With `none` it may get more: that is what the others are for.
    for lock in &ALL[1..] {
        let world = guarded(*lock, Options { patience: PATIENCE, ..Options::default() }).await;
        let tea = world.delivered(10).await;
        let buyers = (0..40).map(|_| {
            let client = world.client.clone();
            async move { client.reserve(OrderId::new(), &wanted([(tea, 1)])).await }
        });
        let (held, others): (Vec<_>, Vec<_>) =
            together(buyers).await.into_iter().partition(Result::is_ok);
        for other in others {
            let problem = other.expect_err("a refusal");
            assert!(problem.is(Kind::OutOfStock), "{lock:?}: {problem:?}");
        }
        assert_eq!((held.len(), world.counts(tea).await), (10, (0, 10, 0)), "{lock:?}");
    }
}

/// Stops one buyer between looking and taking, for longer than a lease, while four others buy.
#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_is_stopped_past_his_lease_oversells_unless_he_is_refused() {
    for lock in ALL {
        let (stopped, gate) = (OrderId::new(), Gate::shut());
        let think = Think::by({
            let gate = gate.clone();
            move |order| {
                let gate = gate.clone();
                async move {
                    if order == stopped {
                        gate.pass().await;
                    }
                }
            }
        });
        let ttl = Duration::from_millis(200);
        let world =
            guarded(lock, Options { ttl, patience: PATIENCE, think, ..Options::default() }).await;
        let tea = world.delivered(6).await;
        let late = tokio::spawn({
            let client = world.client.clone();
            async move { client.reserve(stopped, &wanted([(tea, 1)])).await }
        });
        gate.arrived(1, PATIENCE).await.expect("the buyer has looked");
        for _ in 0..4 {
            world.client.reserve(OrderId::new(), &wanted([(tea, 1)])).await.expect("enough");
        }
        gate.open();
        late.await.expect("no panic").expect("one more was left");
        let (available, reserved, _) = world.counts(tea).await;
        // He saw six, and wrote five: the four that the others bought are for sale again.
        let spoilt = matches!(lock, PatternLock::None | PatternLock::Lease);
        let expected = if spoilt { (5, 5) } else { (1, 5) };
        assert_eq!((available, reserved), expected, "{lock:?}");
    }
}

#[tokio::test]
async fn what_needs_redis_cannot_be_chosen_without_one() {
    let world = World::new().await;
    for variant in ["lease", "fencing", "lua"] {
        let document =
            format!(r#"{{"flags": {{"pattern.lock": {{"defaultVariant": "{variant}"}}}}}}"#);
        let told = world.flags.merge(document).expect_err("there is no Redis").to_string();
        assert!(told.contains("cargo run -p shop -- up --real"), "{told}");
    }
    assert_eq!(world.flags.to_json()["effective"]["pattern.lock"], "conditional");
    // By whatever way it was chosen: nobody is served without the lock that was asked for.
    let tea = world.delivered(5).await;
    for lock in [PatternLock::Lease, PatternLock::Fencing, PatternLock::Lua] {
        world.flags.set(lock);
        refused(world.client.reserve(OrderId::new(), &wanted([(tea, 1)])).await, Kind::Unavailable);
    }
    assert_eq!(world.counts(tea).await, (5, 0, 0));
}

#[tokio::test]
async fn a_redis_that_forgets_or_dies_costs_the_script_nothing() {
    let redis = testbed::redis::process().await.expect("a Redis");
    let world = World::guarded(redis.clone(), PatternLock::Lua, Options::default()).await;
    let tea = world.delivered(3).await;
    let first = OrderId::new();
    let one = wanted([(tea, 1)]);
    world.client.reserve(first, &one).await.expect("enough");
    redis.flush_all().await.expect("it is ours");
    world.client.reserve(OrderId::new(), &one).await.expect("counted anew");
    redis.kill().await.expect("it is ours");
    world.client.reserve(OrderId::new(), &one).await.expect("the database decides alone");
    refused(world.client.reserve(OrderId::new(), &one).await, Kind::OutOfStock);
    world.client.reserve(first, &one).await.expect("it is held");
    redis.restart().await.expect("it comes back");
    refused(world.client.reserve(OrderId::new(), &one).await, Kind::OutOfStock);
    assert_eq!(world.counts(tea).await, (0, 3, 0));
    // A lease cannot do without.
    redis.kill().await.expect("it is ours");
    world.flags.set(PatternLock::Lease);
    refused(world.client.reserve(OrderId::new(), &one).await, Kind::Unavailable);
}

/// Leases of somebody's own, which count.
struct Mine(RedisLease);

static ACQUIRED: AtomicUsize = AtomicUsize::new(0);

impl Lease for Mine {
    type Held = RedisHeld;

    fn open(url: &str, options: lease::Options) -> Result<Mine, redis::RedisError> {
        RedisLease::open(url, options).map(Mine)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<RedisHeld, lease::Error> {
        ACQUIRED.fetch_add(1, Ordering::SeqCst);
        self.0.acquire(name, patience).await
    }
}

#[tokio::test]
async fn the_leases_are_those_that_the_shop_was_opened_with() {
    for (lock, acquired) in
        [(PatternLock::Conditional, 0), (PatternLock::Lease, 1), (PatternLock::Fencing, 2)]
    {
        let mine = Options { leases: Leases::open::<Mine>, ..Options::default() };
        let world = guarded(lock, mine).await;
        let tea = world.delivered(5).await;
        let bought = world.client.reserve(OrderId::new(), &wanted([(tea, 1)])).await;
        bought.expect("enough");
        assert_eq!(ACQUIRED.load(Ordering::SeqCst), acquired, "{lock:?}");
    }
}
