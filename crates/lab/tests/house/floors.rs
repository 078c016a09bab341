//! FLOORS and LEAF: who may depend on whom.

use serde_json::Value;
use std::collections::HashMap;
use std::process::Command;

/// The floors, from the ground up. A crate depends on what lies below it, never above or beside,
/// but for a topic, which may build on an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Floor {
    /// How the patterns reach Redis.
    Connection,
    /// The patterns, by topic number.
    Sandbox(u8),
    Page,
    Testbed,
    Grading,
    /// The shop's parts, see [`storey`]; then the programs that are made of them.
    Shop(u8),
    Examples,
    Exercises,
    /// The shop with what lies on the learner's desk.
    Mine,
    /// It links no lesson and nothing that one stands on.
    Lab,
}

fn floor(manifest: &str) -> Floor {
    let topic = |folder: &str| {
        let number = manifest.split(folder).nth(1).and_then(|rest| rest.get(1..3));
        number.and_then(|number| number.parse().ok())
    };
    match manifest {
        // The examples of a topic lie with it, and stand on what all examples stand on.
        path if path.ends_with("/examples/Cargo.toml") => Floor::Examples,
        path if path.contains("/sandbox/") => Floor::Sandbox(topic("/sandbox").unwrap_or(99)),
        path if path.contains("/exercises/") => Floor::Exercises,
        path if path.contains("/examples/") => storey(path),
        path if path.ends_with("/crates/connection/Cargo.toml") => Floor::Connection,
        path if path.ends_with("/crates/database/Cargo.toml") => Floor::Connection,
        path if path.ends_with("/crates/page/Cargo.toml") => Floor::Page,
        path if path.ends_with("/crates/testbed/Cargo.toml") => Floor::Testbed,
        path if path.ends_with("/crates/grading/Cargo.toml") => Floor::Grading,
        path if path.ends_with("/crates/lab/Cargo.toml") => Floor::Lab,
        path => panic!("{path} is on no floor: name it here and in docs/architecture.md"),
    }
}

/// Where in the shop a part lies. Services never depend on each other: what they say to each other
/// goes through the contracts.
fn storey(manifest: &str) -> Floor {
    let Some(part) = manifest.split("/examples/shop/").nth(1) else {
        // The monolith is made of the shop's materials, and the shop compares itself with it.
        return Floor::Shop(5);
    };
    match part.split('/').next() {
        Some("contracts" | "flags" | "outside") => Floor::Shop(0),
        Some("ports") if part.contains("/bus/") => Floor::Shop(2),
        Some("ports") if part.contains("/outbox/") => Floor::Shop(3),
        Some("ports" | "calls") => Floor::Shop(1),
        Some("service") => Floor::Shop(2),
        Some("services") => Floor::Shop(4),
        Some("mine") => Floor::Mine,
        _ => Floor::Examples,
    }
}

fn may_depend(on_floor: Floor, kind: &str, below: Floor) -> bool {
    match (on_floor, below) {
        // The lab builds in seconds because it links nothing of ours.
        (Floor::Lab, _) => false,
        // Nothing builds on what a learner changes.
        (_, Floor::Exercises | Floor::Mine) => false,
        // A test of a topic starts a server and reads what its examples print; its library does not.
        (Floor::Sandbox(_), Floor::Testbed | Floor::Page) => kind == "dev",
        // The monolith is a program as well as a part: `--real` asks for a server.
        (Floor::Shop(5), Floor::Testbed) => true,
        // The shop runs on servers; only its tests, and the program that asks for them, start one.
        (Floor::Shop(_), Floor::Testbed) => kind == "dev",
        (upper, lower) => lower < upper,
    }
}

#[test]
fn a_crate_depends_only_on_floors_below_it() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(super::root())
        .output()
        .expect("cargo describes the workspace");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let floors: HashMap<&str, Floor> = packages
        .iter()
        .map(|package| (text(&package["name"]), floor(text(&package["manifest_path"]))))
        .collect();
    assert!(floors.len() >= 6, "{floors:?}");
    let mut seen = 0;
    for package in packages {
        let name = text(&package["name"]);
        for dependency in package["dependencies"].as_array().expect("a list of dependencies") {
            let Some(below) = floors.get(text(&dependency["name"])) else {
                continue;
            };
            seen += 1;
            let kind = dependency["kind"].as_str().unwrap_or("normal");
            assert!(
                may_depend(floors[name], kind, *below),
                "{name} ({:?}) has a {kind} dependency on {} ({below:?}): see FLOORS in \
                 docs/architecture.md",
                floors[name],
                dependency["name"],
            );
        }
    }
    assert!(seen >= 5, "only {seen} dependencies between our crates: is this the whole house?");
}

#[test]
fn the_rule_refuses_what_it_is_for() {
    assert!(!may_depend(Floor::Sandbox(1), "normal", Floor::Testbed));
    assert!(!may_depend(Floor::Sandbox(1), "dev", Floor::Grading));
    assert!(!may_depend(Floor::Sandbox(1), "normal", Floor::Sandbox(2)));
    assert!(!may_depend(Floor::Lab, "normal", Floor::Sandbox(1)));
    assert!(!may_depend(Floor::Examples, "normal", Floor::Exercises));
    let part = |path: &str| floor(&format!("/clone/examples/{path}/Cargo.toml"));
    let (orders, payments) = (part("shop/services/orders"), part("shop/services/payments"));
    assert!(!may_depend(orders, "normal", payments));
    assert!(!may_depend(part("shop/contracts"), "normal", part("shop/ports/storage")));
    assert!(!may_depend(orders, "normal", Floor::Testbed));
    assert!(may_depend(orders, "normal", part("shop/contracts")));
    assert!(may_depend(part("shop"), "normal", part("monolith")));
    assert!(may_depend(Floor::Sandbox(6), "normal", Floor::Sandbox(5)));
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
