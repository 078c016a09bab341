use super::*;
use crate::known::{FaultEmail, FaultPayment, PatternCache, PatternLock};
use std::thread;
use std::time::Duration;

fn merged(json: &Value) -> Flags {
    Flags::from_json(json.to_string()).unwrap()
}

/// Where a document is wrong, and what is said of it.
fn refused(json: &Value) -> String {
    let flags = Flags::default();
    let before = flags.to_json();
    let invalid = flags.merge(json.to_string()).unwrap_err();
    assert_eq!(flags.to_json(), before, "a refused document changes nothing");
    invalid.to_string()
}

#[test]
fn the_table_holds_unless_somebody_says_otherwise() {
    let flags = Flags::default();
    assert_eq!(flags.get::<PatternCache>(), PatternCache::Stampede);
    assert_eq!(flags.get_for::<FaultPayment>("order"), FaultPayment::Off);
}

#[test]
fn a_document_changes_what_it_names_for_all_clones() {
    let flags = merged(&json!({"flags": {"fault.email": {"defaultVariant": "slow"}}}));
    let clone = flags.clone();
    flags.merge(r#"{"flags": {"fault.payment": {"defaultVariant": "hang"}}}"#).unwrap();
    assert_eq!(clone.get::<FaultPayment>(), FaultPayment::Hang);
    assert_eq!(clone.get::<FaultEmail>(), FaultEmail::Slow, "not named, not changed");
}

#[test]
fn what_a_document_says_of_a_flag_is_all_that_holds_for_it() {
    let flags = merged(&json!({"flags": {"fault.payment": {
        "targeting": {"fractional": [["error", 1]]},
        "metadata": {"schedule.from_ms": 0, "schedule.until_ms": 3_600_000}
    }}}));
    assert_eq!(flags.get_for::<FaultPayment>("order"), FaultPayment::Error);
    flags.merge(r#"{"flags": {"fault.payment": {"defaultVariant": "slow"}}}"#).unwrap();
    assert_eq!(flags.get_for::<FaultPayment>("order"), FaultPayment::Slow);
    flags.merge(r#"{"flags": {"fault.payment": {}}}"#).unwrap();
    assert_eq!(flags.get_for::<FaultPayment>("order"), FaultPayment::Off);
}

#[test]
fn a_disabled_flag_is_as_in_the_table() {
    let flags = merged(&json!({"flags": {
        "fault.payment": {"state": "DISABLED", "defaultVariant": "hang"},
        "pattern.cache": {"state": "DISABLED", "defaultVariant": "off"}
    }}));
    assert_eq!(flags.get::<FaultPayment>(), FaultPayment::Off);
    assert_eq!(flags.get::<PatternCache>(), PatternCache::Stampede);
}

#[test]
fn without_a_key_the_default_variant_holds() {
    let flags = merged(&json!({"flags": {"fault.payment": {
        "defaultVariant": "slow", "targeting": {"fractional": [["error", 1]]}
    }}}));
    assert_eq!(flags.get::<FaultPayment>(), FaultPayment::Slow);
    assert_eq!(flags.get_for::<FaultPayment>(7), FaultPayment::Error);
}

#[test]
fn a_schedule_counts_from_the_start() {
    let hour = Duration::from_secs(3600);
    let flags = Flags::default();
    flags
        .set_during(FaultPayment::Hang, Schedule::Once { from_ms: 3_600_000, until_ms: 7_200_000 });
    // An hour between each of these and the edge of the window: no machine is that slow.
    let now = Instant::now();
    for (start, expected) in [
        (Some(now), FaultPayment::Off),
        (now.checked_add(hour * 2), FaultPayment::Off),
        (now.checked_sub(hour * 3 / 2), FaultPayment::Hang),
        (now.checked_sub(hour * 3), FaultPayment::Off),
    ] {
        // A machine that was started lately may have no such moment in its past.
        let Some(start) = start else { continue };
        flags.start_at(start);
        assert_eq!(flags.get::<FaultPayment>(), expected);
    }
}

#[test]
fn a_merged_schedule_begins_a_run_and_no_other_document_does() {
    let flags = Flags::default();
    let tomorrow = Instant::now() + Duration::from_secs(86_400);
    let began = || flags.read().start < tomorrow;
    flags.start_at(tomorrow);
    flags.merge(r#"{"flags": {"fault.email": {"defaultVariant": "slow"}}}"#).unwrap();
    assert!(!began());
    let schedule = json!({"schedule.from_ms": 0, "schedule.until_ms": 1});
    let document = json!({"flags": {"fault.email": {"metadata": schedule}}});
    flags.merge(document.to_string()).unwrap();
    assert!(began());
}

#[test]
fn set_is_for_every_key_and_at_all_times() {
    let flags = merged(&json!({"flags": {"fault.payment": {
        "state": "DISABLED", "targeting": {"fractional": [["error", 1]]},
        "metadata": {"schedule.from_ms": 0, "schedule.until_ms": 1}
    }}}));
    flags.set(FaultPayment::Decline);
    assert_eq!(flags.get_for::<FaultPayment>("order"), FaultPayment::Decline);
}

#[test]
fn the_document_shows_definition_and_effect() {
    let flags = merged(&json!({"flags": {
        "pattern.cache": {"defaultVariant": "off"},
        "fault.payment": {"targeting": {"fractional": [["error", 30], ["off", 70]]}},
        "fault.email": {"defaultVariant": "error", "metadata":
            {"schedule.from_ms": 3_600_000, "schedule.until_ms": 3_600_001}},
        "fault.cache": {"state": "DISABLED", "defaultVariant": "down"}
    }}));
    let document = flags.to_json();
    assert_eq!(
        document["effective"],
        json!({
            "pattern.cache": "off",
            "pattern.lock": "conditional",
            "pattern.limiter": "gcra",
            "pattern.breaker": "on",
            "pattern.retry": "budget",
            "pattern.timeout": "deadline",
            "pattern.tracing": "full",
            "pattern.bulkhead": "on",
            "pattern.async": "off",
            "pattern.saga": "on",
            "pattern.outbox": "on",
            "pattern.inbox": "on",
            "pattern.idempotency": "on",
            "fault.payment": {"error": 30, "off": 70},
            "fault.email": "off",
            "fault.catalog_db": "off",
            "fault.orders.crash": "off",
            "fault.service": "off",
            "fault.cache": "off",
        })
    );
    let email = &document["flags"]["fault.email"];
    assert_eq!(email["state"], "ENABLED");
    assert_eq!(
        email["variants"],
        json!({"off": "off", "slow": "slow", "error": "error", "hang": "hang", "flaky": "flaky"})
    );
    assert_eq!(email["defaultVariant"], "error");
    assert_eq!(email["metadata"]["schedule.from_ms"], 3_600_000);
    assert_eq!(document["flags"]["fault.cache"]["state"], "DISABLED");
}

#[test]
fn what_is_shown_can_be_given_back() {
    let flags = merged(&json!({"flags": {
        "fault.payment": {"targeting": {"fractional": [["error", 30], ["off", 70]]}},
        "fault.email": {"state": "DISABLED", "defaultVariant": "error", "metadata":
            {"schedule.seed": 7, "schedule.every_ms": 2000, "schedule.for_ms": 500}},
    }}));
    let shown = flags.to_json();
    let again = merged(&shown);
    assert_eq!(again.to_json(), shown);
}

#[test]
fn a_refusal_says_where_and_what_is_allowed() {
    let flag = |value: Value| json!({"flags": {"fault.payment": value}});
    let table = [
        (json!([]), "[] is not an object with the key \"flags\""),
        (json!({}), r#"/flags: null is not an object, such as {"pattern.cache": { … }}"#),
        (
            json!({"flags": {}, "flag": {}}),
            "/flag: there is no key `flag`; did you mean `flags`? allowed: `flags`",
        ),
        (
            json!({"flags": {"fault.paymnt": {}}}),
            "/flags/fault.paymnt: there is no flag `fault.paymnt`; did you mean `fault.payment`? allowed: \
             `pattern.cache`, `pattern.lock`, `pattern.limiter`, `pattern.breaker`, `pattern.retry`, `pattern.timeout`, `pattern.bulkhead`, `pattern.async`, \
             `pattern.saga`, `pattern.outbox`, `pattern.inbox`, `pattern.idempotency`, `pattern.tracing`, `fault.payment`, `fault.email`, `fault.catalog_db`, `fault.orders.crash`, `fault.service`, `fault.cache`",
        ),
        (
            flag(json!("hang")),
            r#"/flags/fault.payment: "hang" is not an object, such as {"defaultVariant": "off"}"#,
        ),
        (
            flag(json!({"default": "hang"})),
            "/flags/fault.payment/default: there is no field `default`; allowed: `state`, \
             `variants`, `defaultVariant`, `targeting`, `metadata`",
        ),
        (
            flag(json!({"defaultVariant": "hangs"})),
            "/flags/fault.payment/defaultVariant: there is no variant `hangs`; did you mean \
             `hang`? allowed: `off`, `slow`, `decline`, `error`, `hang`, `flaky`",
        ),
        (
            flag(json!({"defaultVariant": true})),
            "/flags/fault.payment/defaultVariant: true is not one of `off`, `slow`, `decline`, \
             `error`, `hang`, `flaky`",
        ),
        (
            flag(json!({"state": "ON"})),
            "/flags/fault.payment/state: \"ON\" is not `ENABLED` or `DISABLED`",
        ),
        (
            json!({"flags": {"fault.cache": {"variants": {"off": false}}}}),
            "/flags/fault.cache/variants: {\"off\":false} is not {\"down\":\"down\",\"off\":\"off\"}, \
             which is fixed; leave it out",
        ),
        (
            flag(json!({"targeting": {"if": [true, "hang", "off"]}})),
            "/flags/fault.payment/targeting/if: there is no operator `if`; allowed: `fractional`",
        ),
        (
            flag(json!({"targeting": {"fractional": [["error", 30], ["of", 70]]}})),
            "/flags/fault.payment/targeting/fractional/1: there is no variant `of`; did you mean \
             `off`? allowed: `off`, `slow`, `decline`, `error`, `hang`, `flaky`",
        ),
        (
            flag(json!({"targeting": {"fractional": [["error", 0.3], ["off", 0.7]]}})),
            "/flags/fault.payment/targeting/fractional/0: [\"error\",0.3] is not a variant and a \
             whole weight, such as [\"error\", 30]",
        ),
        (
            flag(json!({"targeting": {"fractional": [["error", 0]]}})),
            "/flags/fault.payment/targeting/fractional: the weights must add up to something from \
             1 to 2147483647",
        ),
        (
            flag(json!({"targeting": {"fractional": [{"var": "email"}, ["error", 1]]}})),
            "/flags/fault.payment/targeting/fractional/0: there is no variable `email`; allowed: \
             `$flagd.flagKey`, `targetingKey`",
        ),
        (
            flag(json!({"metadata": {"schedule.from_ms": 5}})),
            "/flags/fault.payment/metadata: `from_ms` make no schedule; it takes from_ms and \
             until_ms, or seed, every_ms and for_ms, each behind `schedule.`",
        ),
        (
            flag(json!({"metadata": {"schedule.from_ms": 5, "schedule.until_ms": 5}})),
            "/flags/fault.payment/metadata: the schedule has no window: until_ms must be after \
             from_ms, and for_ms from 1 to every_ms",
        ),
        (
            flag(json!({"metadata": {"schedule.from_ms": -5, "schedule.until_ms": 5}})),
            "/flags/fault.payment/metadata/schedule.from_ms: -5 is not a whole number of at least 0",
        ),
        (
            flag(
                json!({"metadata": {"schedule.every_ms": 0, "schedule.for_ms": 0, "schedule.seed": 1}}),
            ),
            "/flags/fault.payment/metadata: the schedule has no window: until_ms must be after \
             from_ms, and for_ms from 1 to every_ms",
        ),
        (
            flag(json!({"metadata": {"owner": "ada"}})),
            "/flags/fault.payment/metadata/owner: there is no metadata `owner`; allowed: `description`, \
             `schedule.from_ms`, `schedule.until_ms`, `schedule.seed`, `schedule.every_ms`, \
             `schedule.for_ms`",
        ),
    ];
    for (document, said) in table {
        assert_eq!(refused(&document), said);
    }
    let said = Flags::from_json("{").unwrap_err().to_string();
    assert!(said.starts_with("this is not JSON: EOF"), "{said}");
}

#[test]
fn all_of_a_document_is_taken_or_nothing() {
    // Sorted, the good flag comes before the bad one.
    let said = refused(&json!({"flags": {
        "fault.email": {"defaultVariant": "slow"}, "fault.payment": {"defaultVariant": "no"}
    }}));
    assert!(said.starts_with("/flags/fault.payment/defaultVariant"), "{said}");
}

#[test]
fn readers_see_each_document_whole() {
    let documents = [("off", "off"), ("stampede", "hang")].map(|(cache, payment)| {
        json!({"flags": {
            "pattern.cache": {"defaultVariant": cache},
            "fault.payment": {"defaultVariant": payment}
        }})
        .to_string()
    });
    let flags = Flags::from_json(&documents[0]).unwrap();
    let (mut off, mut on) = (0, 0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..2_000 {
                flags.merge(&documents[round % 2]).unwrap();
            }
        });
        // At least one look at each, however the threads are scheduled: the last document is "on".
        while !writer.is_finished() || off + on < 10 {
            let effective = flags.to_json()["effective"].take();
            match (effective["pattern.cache"].as_str(), effective["fault.payment"].as_str()) {
                (Some("off"), Some("off")) => off += 1,
                (Some("stampede"), Some("hang")) => on += 1,
                torn => panic!("{torn:?}"),
            }
        }
    });
    assert_eq!(flags.get::<FaultPayment>(), FaultPayment::Hang);
}

#[test]
fn what_is_ruled_out_cannot_be_chosen_in_any_way() {
    let flags = merged(&json!({"flags": {"pattern.lock": {"defaultVariant": "lua"}}}));
    flags.rule_out(&[PatternLock::Lease, PatternLock::Lua], "there is no Redis; next: --real");
    assert_eq!(flags.get::<PatternLock>(), PatternLock::Conditional, "given back to the table");
    let before = flags.to_json();
    for definition in [
        json!({"defaultVariant": "lease"}),
        json!({"targeting": {"fractional": [["none", 1], ["lua", 1]]}}),
        json!({"defaultVariant": "lua", "metadata":
            {"schedule.from_ms": 1_000, "schedule.until_ms": 2_000}}),
    ] {
        let document = json!({"flags": {"pattern.lock": definition, "fault.email": {}}});
        let told = flags.merge(document.to_string()).unwrap_err().to_string();
        assert!(told.starts_with("/flags/pattern.lock: `l"), "{told}");
        assert!(told.ends_with("there is no Redis; next: --real"), "{told}");
        assert_eq!(flags.to_json(), before);
    }
    flags.merge(r#"{"flags": {"pattern.lock": {"defaultVariant": "none"}}}"#).unwrap();
    assert_eq!(flags.get::<PatternLock>(), PatternLock::None);
}
