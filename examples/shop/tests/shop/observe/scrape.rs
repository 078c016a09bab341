//! What a shop tells whoever scrapes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use observability::metrics::text::{self, Sample};
use shop_contracts::Peer;

use crate::open::Open;

/// All samples of each service, as Prometheus asks for them.
pub(super) async fn of_each(open: &Open) -> BTreeMap<&'static str, Vec<Sample>> {
    let mut all = BTreeMap::new();
    for (name, address) in open.shop.addresses() {
        let accept = HeaderValue::from_static("application/openmetrics-text; version=1.0.0");
        let headers = [(header::ACCEPT, accept)];
        let service = Peer::new(name, address);
        let answer = service.forward(Method::GET, "/metrics", Bytes::new(), &headers).await;
        let answer = answer.expect(name);
        let text = String::from_utf8(answer.into_body().into()).expect("text");
        assert!(text.ends_with("# EOF\n"), "{name} tells all of it");
        all.insert(name, text::samples(&text).expect(name));
    }
    all
}

/// All of them together, with what Prometheus adds: the labels of `prometheus.yaml`, and its own `up`.
pub(super) async fn stored(open: &Open) -> Vec<Sample> {
    let mut all = Vec::new();
    for (service, mut samples) in of_each(open).await {
        let labels = BTreeMap::new();
        samples.push(Sample { name: "up".to_owned(), labels, value: 1.0, exemplar: None });
        for mut sample in samples {
            let was = sample.labels.insert("service".to_owned(), service.to_owned());
            assert_eq!(was, None, "Prometheus would rename a label `service` of {}", sample.name);
            all.push(sample);
        }
    }
    all
}
