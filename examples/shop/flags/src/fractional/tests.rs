use super::*;
use crate::known::{FaultPayment, KNOWN, Switch};

const KNOWN_PAYMENT: &Known = &KNOWN[FaultPayment::PLACE];

fn rule(json: &Value) -> Fractional {
    Fractional::parse(json, KNOWN_PAYMENT, &At::ROOT).unwrap()
}

fn count(rule: &Fractional, variant: FaultPayment) -> usize {
    (0..10_000)
        .filter(|key| rule.choose(KNOWN_PAYMENT.name, &format!("order-{key}")) == variant.index())
        .count()
}

#[test]
fn the_shares_are_kept_within_two_percent() {
    let rule = rule(&json!({"fractional": [["error", 30], ["slow", 10], ["off", 60]]}));
    for (variant, share) in
        [(FaultPayment::Error, 3000), (FaultPayment::Slow, 1000), (FaultPayment::Off, 6000)]
    {
        let count = count(&rule, variant);
        assert!(count.abs_diff(share) <= 200, "{variant:?}: {count} of 10,000");
    }
}

#[test]
fn weights_are_relative_and_one_if_left_out() {
    let one_in_four = rule(&json!({"fractional": [["error"], ["off", 3]]}));
    let a_quarter = rule(&json!({"fractional": [["error", 250_000], ["off", 750_000]]}));
    for key in 0..1000 {
        let chosen = |rule: &Fractional| rule.choose("fault.payment", &key);
        assert_eq!(chosen(&one_in_four), chosen(&a_quarter), "{key}");
    }
    assert!(count(&one_in_four, FaultPayment::Error).abs_diff(2500) <= 200);
}

#[test]
fn a_weight_of_nothing_is_never_chosen_and_all_of_it_always() {
    let rule = rule(&json!({"fractional": [["hang", 0], ["error", i32::MAX], ["slow", 0]]}));
    assert_eq!(count(&rule, FaultPayment::Error), 10_000);
}

#[test]
fn the_same_keys_meet_the_same_variants_for_ever() {
    // Murmur3 of "fault.payment" and the key, scaled to 100, decides. These were computed apart
    // from this code; a comparison that was stored relies on them.
    let rule = rule(&json!({"fractional": [["error", 30], ["off", 70]]}));
    let hit: Vec<u32> = (0..20)
        .filter(|key| rule.choose("fault.payment", key) == FaultPayment::Error.index())
        .collect();
    assert_eq!(hit, HIT);
}

const HIT: [u32; 7] = [0, 1, 4, 8, 12, 13, 19];

#[test]
fn the_flag_and_a_seed_make_draws_of_their_own() {
    let plain = rule(&json!({"fractional": [["error"], ["off"]]}));
    let spelt = rule(&json!({"fractional": [
        {"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}, ["error"], ["off"]
    ]}));
    let seeded = rule(&json!({"fractional": [
        {"cat": ["seed 7", {"var": "targetingKey"}]}, ["error"], ["off"]
    ]}));
    let bare = rule(&json!({"fractional": [{"var": "targetingKey"}, ["error"], ["off"]]}));
    let draw = |rule: &Fractional, flag: &str| -> Vec<usize> {
        (0..100).map(|key| rule.choose(flag, &key)).collect()
    };
    assert_eq!(draw(&plain, "fault.payment"), draw(&spelt, "fault.payment"));
    assert_ne!(draw(&plain, "fault.payment"), draw(&plain, "fault.email"));
    assert_ne!(draw(&plain, "fault.payment"), draw(&seeded, "fault.payment"));
    assert_eq!(draw(&seeded, "fault.payment"), draw(&seeded, "fault.email"));
    assert_eq!(draw(&bare, "fault.payment"), draw(&bare, "fault.email"));
}

#[test]
fn what_is_read_is_written_again() {
    for json in [
        json!({"fractional": [["error", 30], ["off", 70]]}),
        json!({"fractional": [{"cat": ["s", {"var": "targetingKey"}]}, ["error", 1], ["off", 2]]}),
    ] {
        assert_eq!(rule(&json).to_json(KNOWN_PAYMENT), json);
    }
    let twice = rule(&json!({"fractional": [["error", 1], ["off", 2], ["error", 3]]}));
    assert_eq!(twice.weights(KNOWN_PAYMENT), json!({"error": 4, "off": 2}));
}
