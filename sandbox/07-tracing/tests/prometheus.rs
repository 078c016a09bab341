//! What Prometheus itself says of a scrape and of a calculation.
//!
//! Ignored in `cargo test`: it needs Prometheus' own `promtool`, which Debian has in its package
//! `prometheus`. `cargo test -p observability --test prometheus -- --ignored`

use observability::metrics::{BOUNDS, Bucket, Registry, Sources, Unit, merged, quantile};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    let mut stdin = promtool.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
#[ignore = "needs promtool"]
async fn a_scrape_has_nothing_that_promtool_would_change() {
    let sources = Sources { trace: || Some("4bf92f3577b34da6".into()), ..Sources::default() };
    let registry = Registry::new("orders \"7\"\\\n", sources);
    let sizes =
        registry.histograms("body", "Sizes \\ of\nbodies", Unit::Bytes, &[10.0, 100.0], ["kind"]);
    sizes.observe(["a \"#\" # {x=\"1\"} 2\n"], 10.0);
    registry.counters("sold_total", "Sold", ["item"]).with(["köln\\"]).inc();
    let pool = registry.pool("database", 2);
    drop(pool.take().await);
    let (passes, said) = promtool(&["check", "metrics"], &registry.text(None).text);
    assert!(passes, "{said}");
    assert_eq!(said, "", "promtool has nothing to say");
}

#[test]
#[ignore = "needs promtool"]
fn quantiles_are_those_of_prometheus() {
    let mut random = StdRng::seed_from_u64(7);
    let mut tests = String::from("evaluation_interval: 1m\ntests:\n");
    for _ in 0..50 {
        let instances: Vec<Vec<Bucket>> = (0..random.random_range(1..4))
            .map(|_| {
                let mut count = 0;
                let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
                let mut one = |le| {
                    count += random.random_range(0..50);
                    Bucket { le, count: f64::from(count) }
                };
                bounds.map(&mut one).collect()
            })
            .collect();
        tests += "- interval: 1m\n  input_series:\n";
        for (nth, instance) in instances.iter().enumerate() {
            for Bucket { le, count } in instance {
                let le = if le.is_finite() { le.to_string() } else { "+Inf".to_owned() };
                let series = format!("t_bucket{{le=\"{le}\",instance=\"{nth}\"}}");
                let _ = writeln!(tests, "  - series: '{series}'\n    values: '{count}'");
            }
        }
        tests += "  promql_expr_test:\n";
        for q in [0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
            let ours = quantile(&merged(&instances), q);
            let asked = format!("histogram_quantile({q}, sum by (le) (t_bucket))");
            let _ = writeln!(tests, "  - expr: {asked}\n    eval_time: 0m");
            let _ = writeln!(tests, "    exp_samples:\n    - labels: '{{}}'\n      value: {ours}");
        }
    }
    let file = std::env::temp_dir().join(format!("quantiles-{}.yaml", std::process::id()));
    std::fs::write(&file, tests).expect("a file");
    let (passes, said) = promtool(&["test", "rules", &file.to_string_lossy()], "");
    std::fs::remove_file(&file).expect("it was there");
    assert!(passes, "{said}");
}
