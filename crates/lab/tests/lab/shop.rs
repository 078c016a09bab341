//! `cargo lab shop`: the words go to the shop, and a learner's file only when it has passed.

use crate::sandbox::{DESK_FILE, Sandbox};

#[test]
fn words_go_to_the_shop_as_they_are() {
    let seen = Sandbox::new().lab(&["shop", "compare", "cache", "--real", "--seed", "7"]);
    assert_eq!((seen.code, seen.out.as_str()), (0, "the shop: compare cache --real --seed 7\n"));
}

#[test]
fn a_file_that_has_not_passed_does_not_open_the_shop() {
    let sandbox = Sandbox::new();
    let refused = sandbox.lab(&["shop", "--mine", "cache_aside"]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert!(refused.err.contains("your cache_aside has not passed yet"), "{}", refused.err);
    assert!(refused.err.ends_with("Next  cargo lab check cache_aside\n"), "{}", refused.err);

    sandbox.write(DESK_FILE, "RIGHT");
    sandbox.lab(&["check", "cache_aside"]);
    let seen = sandbox.lab(&["shop", "--mine", "cache_aside"]);
    let shop = "the shop of shop-mine --features desk --bin cache_aside -- compare cache\n";
    assert!(
        seen.out.contains("shop compare cache with desk/01-caching/cache_aside.rs"),
        "{seen:#?}"
    );
    assert!(seen.code == 0 && seen.out.ends_with(shop), "{seen:#?}");
    let up = sandbox.lab(&["shop", "--mine", "cache_aside", "up", "--port", "9000"]);
    assert!(up.out.ends_with("--bin cache_aside -- up --port 9000\n"), "{up:#?}");

    sandbox.write(DESK_FILE, "RIGHT, and changed since");
    let changed = sandbox.lab(&["shop", "--mine", "cache_aside"]);
    assert!(changed.err.contains("your cache_aside changed since it passed"), "{changed:#?}");
}

#[test]
fn a_lesson_without_a_place_in_the_shop_names_one_that_has() {
    let refused = Sandbox::new().lab(&["shop", "--mine", "stampede"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("these have one: cache_aside"), "{}", refused.err);
    assert!(refused.err.ends_with("Next  cargo lab shop --mine cache_aside\n"), "{}", refused.err);
}
