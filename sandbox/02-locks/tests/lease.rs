//! What of the lease the exercise's checks do not ask: its tokens, its ends, its odd options.

use locks::lease::{Error, Held, Lease, Options, RedisLease};
use std::time::{Duration, Instant};
use testbed::proxy::Proxy;
use testbed::redis::Redis;

const AT_ONCE: Duration = Duration::ZERO;
/// No answer here takes as long, on the busiest machine.
const SOON: Duration = Duration::from_secs(5);
/// Longer than a test takes: what comes sooner has not waited for it.
const LONG: Options = Options { ttl: Duration::from_secs(60), timeout: Duration::from_secs(5) };

async fn redis() -> Redis {
    testbed::redis::private().await.expect("a Redis")
}

fn leases(redis: &Redis, options: Options) -> RedisLease {
    RedisLease::open(redis.url(), options).expect("a URL")
}

async fn ask(redis: &Redis, command: &[&str]) -> String {
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("Redis is up");
    let mut words = redis::Cmd::new();
    for word in command {
        words.arg(*word);
    }
    words.query_async(&mut connection).await.expect("Redis answers")
}

#[tokio::test]
async fn tokens_rise_through_all_that_redis_may_forget() {
    let redis = redis().await;
    let leases = leases(&redis, LONG);
    let mut last = 0;
    for round in 0..40 {
        match round % 4 {
            0 => redis.flush_all().await.unwrap(),
            1 => redis.script_flush().await.unwrap(),
            2 => drop(ask(&redis, &["DEL", "lock:{stock}:token"]).await),
            _ => {}
        }
        let held = leases.acquire("stock", SOON).await.unwrap();
        assert!(held.token() > last, "{} after {last}, round {round}", held.token());
        last = held.token();
        held.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_clock_that_is_set_back_does_not_set_the_tokens_back() {
    let redis = redis().await;
    let leases = leases(&redis, LONG);
    // As drawn when the clock was ten years ahead; 16 digits, of which %.14g would keep 14.
    let ahead = 2_112_345_678_901_237_u64;
    let set = ["SET", "lock:{stock}:token", &ahead.to_string()];
    ask(&redis, &set).await;
    for drawn in 1..=3 {
        let held = leases.acquire("stock", AT_ONCE).await.unwrap();
        assert_eq!(held.token(), ahead + drawn);
        held.release().await.unwrap();
    }
    assert_eq!(ask(&redis, &["GET", "lock:{stock}:token"]).await, (ahead + 3).to_string());
}

#[tokio::test]
async fn nothing_that_is_written_lives_for_ever() {
    let redis = redis().await;
    let held = leases(&redis, LONG).acquire("stock", AT_ONCE).await.unwrap();
    for (key, at_most) in [("lock:{stock}", 60_000), ("lock:{stock}:token", 86_400_000)] {
        let left: i64 = ask(&redis, &["PTTL", key]).await.parse().unwrap();
        assert!((1..=at_most).contains(&left), "{key} ends in {left} ms");
    }
    held.release().await.unwrap();
    assert_eq!(ask(&redis, &["EXISTS", "lock:{stock}"]).await, "0");
}

#[tokio::test]
async fn an_uncontested_turn_is_two_round_trips() {
    let redis = redis().await;
    let proxy = Proxy::before(redis.url()).await.unwrap();
    let leases = RedisLease::open(proxy.url(), LONG).unwrap();
    // The first ones teach Redis the scripts.
    leases.acquire("stock", AT_ONCE).await.unwrap().release().await.unwrap();
    proxy.reset_count();
    leases.acquire("stock", AT_ONCE).await.unwrap().release().await.unwrap();
    assert_eq!(proxy.counts().round_trips, 2, "{:?}", proxy.counts());
}

#[tokio::test]
async fn extending_moves_the_loss_and_a_loss_stays() {
    let redis = redis().await;
    let options = Options { ttl: Duration::from_secs(1), ..LONG };
    let leases = leases(&redis, options);
    let held = leases.acquire("stock", AT_ONCE).await.unwrap();
    let began = Instant::now();
    let mut lost = Box::pin(held.lost());
    while began.elapsed() < Duration::from_millis(1_200) {
        held.extend().await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), &mut lost).await;
        assert!(early.is_err(), "lost {:?} after the beginning", began.elapsed());
    }
    // A first look that was given up does not spoil the next.
    ask(&redis, &["DEL", "lock:{stock}"]).await;
    assert!(matches!(held.extend().await, Err(Error::Lost)));
    tokio::time::timeout(SOON, lost).await.unwrap();
    tokio::time::timeout(SOON, held.lost()).await.unwrap();
    assert!(matches!(held.extend().await, Err(Error::Lost)), "and it stays lost");
    assert!(matches!(held.release().await, Err(Error::Lost)));
}

#[test]
fn a_lease_may_be_dropped_on_any_thread_and_after_its_runtime() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let redis = runtime.block_on(redis());
    let (one, other, rest) = runtime.block_on(async {
        let leases = leases(&redis, LONG);
        let one = leases.acquire("one", AT_ONCE).await.unwrap();
        (one, leases.acquire("other", AT_ONCE).await.unwrap(), leases)
    });
    std::thread::spawn(move || drop(one)).join().unwrap();
    runtime.block_on(async { rest.acquire("one", SOON).await }).unwrap();
    drop(rest);
    runtime.shutdown_timeout(SOON);
    // Nothing can be sent any more; it ends with its TTL.
    drop(other);
}

#[tokio::test]
async fn odd_options_are_taken_as_they_can_be_meant() {
    let redis = redis().await;
    let for_ever = Options { ttl: Duration::MAX, ..LONG };
    let held = leases(&redis, for_ever).acquire("long", Duration::MAX).await.unwrap();
    let left: i64 = ask(&redis, &["PTTL", "lock:{long}"]).await.parse().unwrap();
    assert!(left > 1_000_000_000_000, "{left}");
    assert!(tokio::time::timeout(Duration::from_millis(20), held.lost()).await.is_err());
    held.extend().await.unwrap();
    held.release().await.unwrap();

    // Over before it can be used; said so, and not handed out.
    let never = Options { ttl: Duration::ZERO, ..LONG };
    let refused = leases(&redis, never).acquire("short", Duration::from_millis(20)).await;
    assert!(matches!(refused, Err(Error::Lost)), "{refused:?}");
    leases(&redis, LONG).acquire("short", SOON).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_comes_back_within_the_patience_is_no_error() {
    let redis = redis().await;
    let proxy = Proxy::before(redis.url()).await.unwrap();
    proxy.refuse();
    let leases = RedisLease::open(proxy.url(), LONG).unwrap();
    let down = leases.acquire("stock", AT_ONCE).await;
    assert!(matches!(down, Err(Error::Redis(_))), "{down:?}");
    let (held, back) = tokio::join!(leases.acquire("stock", SOON), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        proxy.accept().await
    });
    back.unwrap();
    held.unwrap().release().await.unwrap();
}
