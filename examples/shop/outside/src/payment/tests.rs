//! Time is paused: it moves on by itself while a test waits, and no socket is waited for here.

use super::*;
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn charge(key: u128, amount: i64, card: &str) -> Charge {
    Charge { key: Uuid::from_u128(key), amount, card: card.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_charge_takes_the_latency_and_is_booked() {
    let provider = Provider::default();
    let before = Instant::now();
    let receipt = provider.charge(&charge(1, 1990, "tok_ok"), Weather::Fine).await.unwrap();
    assert_eq!(before.elapsed(), SECOND);
    assert_eq!((receipt.amount, receipt.refunded), (1990, false));
    let books = provider.books();
    assert_eq!(books.entries, [Entry { key: Uuid::from_u128(1), receipt: receipt.clone() }]);
    assert_eq!(provider.find(Uuid::from_u128(1)).await, Some(receipt));
    assert_eq!(provider.find(Uuid::from_u128(2)).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_key_answers_the_same_and_charges_once() {
    let provider = Provider::default();
    let asked = charge(1, 1990, "tok_ok");
    let (first, beside) = tokio::join!(
        provider.charge(&asked, Weather::Fine),
        provider.charge(&asked, Weather::Fine)
    );
    let later = provider.clone().charge(&asked, Weather::Fine).await;
    assert_eq!(first, beside);
    assert_eq!(first, later);
    assert_eq!(provider.books().charged(), 1990);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_for_one_amount() {
    let provider = Provider::default();
    provider.charge(&charge(1, 1990, "tok_ok"), Weather::Fine).await.unwrap();
    let refused = provider.charge(&charge(1, 1991, "tok_ok"), Weather::Fine).await;
    let key = Uuid::from_u128(1);
    assert_eq!(refused, Err(Refusal::KeyInUse { key, amount: 1990 }));
}

#[tokio::test(start_paused = true)]
async fn the_test_cards_answer_as_the_table_says() {
    let provider = Provider::default();
    let table = [
        ("tok_ok", None),
        ("tok_ok_visa", None),
        ("tok_declined", Some(Refusal::Declined)),
        ("tok_insufficient", Some(Refusal::InsufficientFunds)),
        ("tok_expired_2019", Some(Refusal::ExpiredCard)),
        ("4242", Some(Refusal::UnknownCard("4242".to_owned()))),
        ("", Some(Refusal::UnknownCard(String::new()))),
    ];
    for (key, (card, refusal)) in table.into_iter().enumerate() {
        let answer = provider.charge(&charge(key as u128, 100, card), Weather::Fine).await;
        assert_eq!(answer.err(), refusal, "{card}");
    }
    assert_eq!(provider.books().entries.len(), 2, "only the good cards are booked");
}

#[tokio::test(start_paused = true)]
async fn nothing_and_less_than_nothing_cannot_be_charged() {
    let provider = Provider::default();
    for amount in [0, -1, i64::MIN] {
        let answer = provider.charge(&charge(1, amount, "tok_ok"), Weather::Fine).await;
        assert_eq!(answer, Err(Refusal::Amount(amount)));
    }
    assert_eq!(provider.books(), Books::default());
}

#[tokio::test(start_paused = true)]
async fn another_card_may_follow_a_refused_one_under_the_same_key() {
    let provider = Provider::default();
    let refused = provider.charge(&charge(1, 1990, "tok_declined"), Weather::Fine).await;
    assert_eq!(refused, Err(Refusal::Declined));
    provider.charge(&charge(1, 1990, "tok_ok"), Weather::Fine).await.unwrap();
    assert_eq!(provider.books().charged(), 1990);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_after_the_middle_has_paid_and_can_find_out() {
    let provider = Provider::default();
    let asked = charge(1, 1990, "tok_ok");
    timeout(SECOND / 4, provider.charge(&asked, Weather::Fine)).await.unwrap_err();
    assert_eq!(provider.find(asked.key).await, None, "given up before the middle");
    timeout(SECOND * 3 / 4, provider.charge(&asked, Weather::Fine)).await.unwrap_err();
    let found = provider.find(asked.key).await.expect("given up after the middle");
    assert_eq!(provider.charge(&asked, Weather::Fine).await, Ok(found));
    assert_eq!(provider.books().charged(), 1990);
}

#[tokio::test(start_paused = true)]
async fn the_weather_is_as_described() {
    let provider = Provider::default();
    let asked = |key| charge(key, 100, "tok_ok");
    let before = Instant::now();
    assert_eq!(provider.charge(&asked(1), Weather::Errors).await, Err(Refusal::OutOfOrder));
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(provider.charge(&asked(2), Weather::Declines).await, Err(Refusal::Declined));
    assert_eq!(before.elapsed(), SECOND);
    assert_eq!(provider.books(), Books::default());

    provider.charge(&asked(3), Weather::Slow(SECOND * 4)).await.unwrap();
    assert_eq!(before.elapsed(), SECOND * 6);

    timeout(SECOND * 3600, provider.charge(&asked(4), Weather::Hangs)).await.unwrap_err();
    assert!(provider.books().find(asked(4).key).is_some(), "hanging, it has charged");
}

#[tokio::test(start_paused = true)]
async fn flaky_fails_some_calls_and_a_repeat_may_succeed() {
    let provider = Provider::default();
    let (mut failed, mut repeats) = (0, 0);
    for key in 0..200 {
        while provider.charge(&charge(key, 100, "tok_ok"), Weather::Flaky).await.is_err() {
            failed += 1;
            repeats = provider.ledger().attempts[&Uuid::from_u128(key)].max(repeats);
        }
    }
    let calls = provider.calls();
    assert_eq!((calls.reached, calls.out_of_order), (200 + failed, failed));
    assert!((50..130).contains(&failed), "200 charges need about 286 calls: {failed}");
    assert!((2..10).contains(&repeats), "some needed more than one repeat: {repeats}");
    assert_eq!(provider.books().charged(), 200 * 100, "and each was charged once");
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_what_came_of_them() {
    let provider = Provider::default();
    let asked = |key| charge(key, 100, "tok_ok");
    provider.charge(&asked(1), Weather::Fine).await.unwrap();
    provider.charge(&asked(2), Weather::Errors).await.unwrap_err();
    provider.charge(&asked(3), Weather::Declines).await.unwrap_err();
    timeout(SECOND * 60, provider.charge(&asked(4), Weather::Hangs)).await.unwrap_err();
    provider.refund(Uuid::from_u128(1), Weather::Fine).await.unwrap();
    provider.find(Uuid::from_u128(1)).await.unwrap();
    let counted = Calls { reached: 5, out_of_order: 1, unanswered: 1, questions: 1 };
    assert_eq!(provider.calls(), counted);
}

#[tokio::test(start_paused = true)]
async fn a_refund_gives_all_back_once() {
    let provider = Provider::default();
    for (key, amount) in [(1, 1000), (2, 300)] {
        provider.charge(&charge(key, amount, "tok_ok"), Weather::Fine).await.unwrap();
    }
    let key = Uuid::from_u128(1);
    let first = provider.refund(key, Weather::Fine).await.unwrap();
    assert!(first.refunded);
    assert_eq!(provider.refund(key, Weather::Fine).await, Ok(first));
    let books = provider.books();
    assert_eq!((books.charged(), books.refunded(), books.kept()), (1300, 1000, 300));

    let unknown = Uuid::from_u128(3);
    let refused = provider.refund(unknown, Weather::Fine).await;
    assert_eq!(refused, Err(Refusal::NothingCharged(unknown)));
}

#[tokio::test(start_paused = true)]
async fn books_in_a_file_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("books");
    let open = || Provider::default().with_books(&file);
    let provider = open().unwrap();
    for (key, amount) in [(1, 1000), (2, 300)] {
        provider.charge(&charge(key, amount, "tok_ok"), Weather::Fine).await.unwrap();
    }
    provider.refund(Uuid::from_u128(1), Weather::Fine).await.unwrap();
    provider.refund(Uuid::from_u128(1), Weather::Fine).await.unwrap();
    provider.charge(&charge(3, 5, "tok_declined"), Weather::Fine).await.unwrap_err();
    let books = provider.books();
    drop(provider);

    let provider = open().unwrap();
    assert_eq!(provider.books(), books);
    let again = provider.charge(&charge(2, 300, "tok_ok"), Weather::Fine).await.unwrap();
    assert_eq!(again, books.entries[1].receipt, "a known key is charged once");
    let new = provider.charge(&charge(4, 7, "tok_ok"), Weather::Fine).await.unwrap();
    assert_eq!(new.reference, "ch_00000003");

    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}charge {} 97", Uuid::from_u128(9))).unwrap();
    let torn = open().unwrap();
    assert_eq!(torn.books().charged(), 1307, "half a line is no booking");
    torn.charge(&charge(5, 11, "tok_ok"), Weather::Fine).await.unwrap();
    assert_eq!(open().unwrap().books().charged(), 1318);

    std::fs::write(&file, "nonsense\n").unwrap();
    assert!(open().unwrap_err().to_string().contains("nonsense"));
}
