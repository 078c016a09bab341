//! Time is paused: it moves on by itself while a test waits, and no socket is waited for here.

use super::*;
use tokio::time::{Instant, timeout};

fn mail(to: &str) -> Mail {
    Mail {
        key: Uuid::from_u128(1),
        to: to.to_owned(),
        subject: "Your order".to_owned(),
        body: "It is on its way.".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_takes_the_latency_and_is_delivered() {
    let server = Server::default();
    let before = Instant::now();
    server.clone().send(mail("ada@example.org"), Weather::Fine).await.unwrap();
    assert_eq!(before.elapsed(), Duration::from_secs(2));
    assert_eq!(server.sent(), [mail("ada@example.org")]);
}

#[tokio::test(start_paused = true)]
async fn the_same_letter_twice_is_two_letters() {
    let server = Server::default();
    for _ in 0..2 {
        server.send(mail("ada@example.org"), Weather::Fine).await.unwrap();
    }
    assert_eq!(server.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_is_none_bounces() {
    let server = Server::default();
    for to in ["bounce@example.org", "ada", "@example.org", "ada@", ""] {
        let answer = server.send(mail(to), Weather::Fine).await;
        assert_eq!(answer, Err(Undelivered::Bounced(to.to_owned())));
    }
    assert_eq!(server.sent(), []);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_after_the_middle_has_sent_it() {
    let server = Server::default();
    let send = || server.send(mail("ada@example.org"), Weather::Fine);
    timeout(Duration::from_millis(900), send()).await.unwrap_err();
    assert_eq!(server.sent().len(), 0);
    timeout(Duration::from_millis(1100), send()).await.unwrap_err();
    assert_eq!(server.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_weather_is_as_described() {
    let server = Server::default();
    let send = |weather| server.send(mail("ada@example.org"), weather);
    let before = Instant::now();
    assert_eq!(send(Weather::Errors).await, Err(Undelivered::OutOfOrder));
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(send(Weather::Declines).await, Err(Undelivered::Refused));
    assert_eq!(before.elapsed(), Duration::from_secs(2));
    assert_eq!(server.sent(), []);

    send(Weather::Slow(Duration::from_secs(5))).await.unwrap();
    assert_eq!(before.elapsed(), Duration::from_secs(9));

    timeout(Duration::from_secs(3600), send(Weather::Hangs)).await.unwrap_err();
    assert_eq!(server.sent().len(), 2, "hanging, it has delivered");
}

#[tokio::test(start_paused = true)]
async fn flaky_fails_some_letters_and_a_repeat_may_succeed() {
    let server = Server::default();
    let mut failed = 0;
    for key in 0..100 {
        let mail = Mail { key: Uuid::from_u128(key), ..mail("ada@example.org") };
        while server.send(mail.clone(), Weather::Flaky).await.is_err() {
            failed += 1;
        }
    }
    assert!((20..80).contains(&failed), "100 letters need about 143 attempts: {failed}");
    assert_eq!(server.sent().len(), 100);
}
