use super::*;

fn on(schedule: Schedule, millis: u64) -> bool {
    schedule.is_on(Duration::from_millis(millis))
}

#[test]
fn one_window_holds_its_beginning_and_not_its_end() {
    let schedule = Schedule::Once { from_ms: 2000, until_ms: 5000 };
    let table =
        [(0, false), (1999, false), (2000, true), (4999, true), (5000, false), (u64::MAX, false)];
    for (millis, expected) in table {
        assert_eq!(on(schedule, millis), expected, "{millis}");
    }
}

#[test]
fn drawn_windows_are_the_same_for_ever() {
    // The windows of the first four stretches. Whoever changes the drawing changes every stored
    // comparison, and this line.
    let schedule = Schedule::Drawn { seed: 7, every_ms: 1000, for_ms: 100 };
    let begins: Vec<u64> =
        (1..4000).filter(|&millis| on(schedule, millis) && !on(schedule, millis - 1)).collect();
    assert_eq!(begins, BEGINS);
}

const BEGINS: [u64; 4] = [119, 1517, 2590, 3028];

#[test]
fn each_stretch_has_one_window_of_the_given_length_at_a_place_of_its_own() {
    for seed in 0..20 {
        let schedule = Schedule::Drawn { seed, every_ms: 50, for_ms: 7 };
        let mut places = Vec::new();
        for stretch in 0..40 {
            let window: Vec<u64> =
                (0..50).filter(|within| on(schedule, stretch * 50 + within)).collect();
            assert_eq!(window.len(), 7, "seed {seed}, stretch {stretch}");
            assert_eq!(window[6] - window[0], 6, "in one piece");
            places.push(window[0]);
        }
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 15, "seed {seed}: {places:?}");
    }
}

#[test]
fn a_window_as_long_as_its_stretch_is_always() {
    let schedule = Schedule::Drawn { seed: 1, every_ms: 10, for_ms: 10 };
    assert!((0..100).all(|millis| on(schedule, millis)));
}

#[test]
fn the_largest_numbers_are_no_trouble() {
    let largest = Schedule::Drawn { seed: u64::MAX, every_ms: u64::MAX, for_ms: u64::MAX - 1 };
    on(largest, 0);
    largest.is_on(Duration::MAX);
}
