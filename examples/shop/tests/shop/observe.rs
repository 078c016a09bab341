//! What stands beside the shop for those who have a collector (`examples/shop/observe`), held to what
//! the shop really tells.

mod beside;
mod dashboard;
mod expression;
mod many;
mod prometheus;
mod scrape;
mod truth;
mod yaml;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder with all of it.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("observe")
}

fn file(path: &str) -> String {
    let path = folder().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A question that a panel asks.
#[derive(Debug)]
struct Question {
    panel: String,
    expression: String,
    /// Whether the panel shows exemplars with it.
    exemplars: bool,
}

/// The panels of the dashboard, rows and all.
fn panels() -> Vec<Value> {
    let text = file("grafana/dashboards/shop.json");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    dashboard["panels"].as_array().expect("panels").clone()
}

/// All that the dashboard asks, with `window` where Grafana puts one by the width of a panel.
fn questions(window: &str) -> Vec<Question> {
    let panels = panels();
    let asked = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (&panel["title"], target))
    });
    asked
        .map(|(panel, target)| Question {
            panel: panel.as_str().expect("a title").to_owned(),
            expression: target["expr"]
                .as_str()
                .expect("an expression")
                .replace("$__rate_interval", window),
            exemplars: target["exemplar"] == true,
        })
        .collect()
}
