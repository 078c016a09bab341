//! The files for the collector agree with each other and with the shop.

use serde_json::Value;
use shop_contracts::Peers;

use super::{file, folder, panels, yaml};

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text")).collect()
}

/// Host's side and container's side of what a service of `compose.yaml` has mounted.
fn mounts(service: &Value) -> Vec<(&str, &str)> {
    let mounts = service["volumes"].as_array().map_or(&[][..], Vec::as_slice).iter();
    mounts
        .map(|mount| {
            let mount =
                mount.as_str().expect("a text").strip_suffix(":ro").expect("to be read only");
            mount.split_once(':').expect("two sides")
        })
        .collect()
}

/// Where `path` of a container is in the folder.
fn mounted(service: &Value, path: &str) -> std::path::PathBuf {
    let found = mounts(service).into_iter().find_map(|(host, inside)| {
        let rest = path.strip_prefix(inside)?;
        Some(folder().join(format!("{host}{rest}")))
    });
    found.unwrap_or_else(|| panic!("{path} is not mounted"))
}

#[test]
fn what_is_brought_up_is_pinned_and_finds_its_files() {
    let compose = yaml::read(&file("compose.yaml"));
    let services = compose["services"].as_object().expect("services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["grafana", "jaeger", "prometheus"]);
    for (name, service) in services {
        let image = service["image"].as_str().expect("an image");
        let (_, tag) = image.rsplit_once(':').expect("a tag");
        let numbers: Vec<_> = tag.trim_start_matches('v').split('.').collect();
        let is_exact = numbers.len() == 3 && numbers.iter().all(|one| one.parse::<u32>().is_ok());
        assert!(is_exact, "{image} is not one version");
        // The shop listens on the loopback alone.
        assert_eq!(service["network_mode"], "host", "{name} cannot reach the shop");
        for (host, _) in mounts(service) {
            assert!(folder().join(host).exists(), "{name}: {host} is not there");
        }
    }
    let prometheus = &services["prometheus"];
    let command = texts(&prometheus["command"]);
    assert!(command.contains(&"--enable-feature=exemplar-storage"));
    let config = command.iter().find_map(|word| word.strip_prefix("--config.file="));
    assert!(mounted(prometheus, config.expect("a configuration")).is_file());
    let grafana = &services["grafana"];
    let home = &grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    assert!(mounted(grafana, home.as_str().expect("a path")).is_file());
    let provider = yaml::read(&file("grafana/providers/shop.yaml"));
    let path = provider["providers"][0]["options"]["path"].as_str().expect("a path");
    assert!(mounted(grafana, path).join("shop.json").is_file());
    // Grafana looks for them there.
    for what in ["datasources", "dashboards"] {
        assert!(mounted(grafana, &format!("/etc/grafana/provisioning/{what}")).is_dir());
    }
}

/// Nobody has to log in, so nobody else may get there.
#[test]
fn all_of_them_listen_on_the_loopback_alone() {
    let compose = yaml::read(&file("compose.yaml"));
    let services = &compose["services"];
    assert!(
        texts(&services["prometheus"]["command"]).contains(&"--web.listen-address=127.0.0.1:9090")
    );
    assert_eq!(services["jaeger"]["environment"]["JAEGER_LISTEN_HOST"], "127.0.0.1");
    let grafana = &services["grafana"]["environment"];
    assert_eq!(
        (&grafana["GF_SERVER_HTTP_ADDR"], &grafana["GF_SERVER_HTTP_PORT"]),
        (&Value::from("127.0.0.1"), &Value::from("3000"),)
    );
}

#[test]
fn prometheus_asks_each_service_of_the_shop_at_its_port() {
    let config = yaml::read(&file("prometheus.yaml"));
    let job = &config["scrape_configs"][0];
    let told = job["static_configs"].as_array().expect("a list").iter().map(|one| {
        let [target] = texts(&one["targets"])[..] else { panic!("one each: {one}") };
        (one["labels"]["service"].as_str().expect("a name").to_owned(), target.to_owned())
    });
    let services = std::iter::once("gateway").chain(Peers::NAMES);
    let ports =
        services.zip(8080..).map(|(name, port)| (name.to_owned(), format!("127.0.0.1:{port}")));
    assert_eq!(told.collect::<Vec<_>>(), ports.collect::<Vec<_>>());
}

#[test]
fn grafana_knows_where_the_others_are() {
    let sources = yaml::read(&file("grafana/datasources/sources.yaml"));
    let sources = sources["datasources"].as_array().expect("a list");
    let source = |uid: &Value| {
        let found = sources.iter().find(|source| source["uid"] == *uid);
        found.unwrap_or_else(|| panic!("there is no source {uid}"))
    };
    let prometheus = source(&Value::from("prometheus"));
    assert_eq!(prometheus["url"], "http://127.0.0.1:9090");
    let config = yaml::read(&file("prometheus.yaml"));
    assert_eq!(prometheus["jsonData"]["timeInterval"], config["global"]["scrape_interval"]);
    let way = &prometheus["jsonData"]["exemplarTraceIdDestinations"][0];
    // As the shop calls it in its exemplars.
    assert_eq!(way["name"], "trace_id");
    let traces = source(&way["datasourceUid"]);
    assert_eq!(
        (&traces["type"], &traces["url"]),
        (&Value::from("jaeger"), &Value::from("http://127.0.0.1:16686"),)
    );
    for panel in panels().iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().expect("targets") {
            assert_eq!(source(&target["datasource"]["uid"])["type"], "prometheus");
        }
    }
}
