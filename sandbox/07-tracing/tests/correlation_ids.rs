//! What the checks of the lesson leave out: the layers, and the form of a line.

use http::{HeaderMap, HeaderValue, Request, Response};
use observability::correlation_ids::{
    CorrelationIds, IdLayer, LONGEST, PassOnLayer, REQUEST_ID, RequestId, TaskIds,
};
use observability::lines::Lines;
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;
use tracing_subscriber::layer::SubscriberExt;

/// Answers with the ids that it was told. Only the clone that was asked whether it is ready is.
#[derive(Default)]
struct Next {
    is_ready: bool,
}

impl Clone for Next {
    fn clone(&self) -> Next {
        Next::default()
    }
}

fn told(headers: &HeaderMap) -> Vec<String> {
    headers.get_all(REQUEST_ID).iter().map(|id| id.to_str().expect("text").to_owned()).collect()
}

impl Service<Request<()>> for Next {
    type Response = Response<Vec<String>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Vec<String>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        ready(Ok(Response::new(told(request.headers()))))
    }
}

fn request(id: &str) -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().insert(REQUEST_ID, HeaderValue::from_str(id).expect("plain"));
    request
}

#[tokio::test]
async fn the_layers_go_around_each_other_and_keep_one_id() {
    // Two at the door, as where a router in a router has its own, and a client inside.
    let mut shop = IdLayer.layer(IdLayer.layer(PassOnLayer.layer(Next::default())));
    for _ in 0..3 {
        poll_fn(|context| shop.poll_ready(context)).await.unwrap();
        let answer = shop.call(request("checkout-7")).await.unwrap();
        assert_eq!(told(answer.headers()), ["checkout-7"]);
        assert_eq!(answer.into_body(), ["checkout-7"]);
    }
    let answer = shop.call(Request::new(())).await.unwrap();
    let made = told(answer.headers());
    assert_eq!(made.len(), 1);
    assert_eq!(answer.into_body(), made);
}

#[tokio::test]
async fn the_client_is_asked_in_the_name_of_whoever_calls_it() {
    let mut client = PassOnLayer.layer(Next::default());
    let answer = client.call(request("of-a-job")).await.unwrap();
    assert_eq!(answer.into_body(), ["of-a-job"]);
}

#[test]
fn what_is_made_would_be_believed() {
    let id = RequestId::new();
    let mut headers = HeaderMap::new();
    id.tell(&mut headers);
    assert_eq!(RequestId::believe(&headers), Some(id.clone()));
    assert_eq!(id.to_string(), &*id.text());
    assert!(id.text().len() <= LONGEST);
    headers.append(REQUEST_ID, HeaderValue::from_static("a"));
    assert_eq!(RequestId::believe(&headers), None);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged by this, as JSON.
fn logged(id: fn() -> Option<Arc<str>>, log: impl FnOnce()) -> Vec<serde_json::Value> {
    let file = Log::default();
    let writer = file.clone();
    let lines = Lines::new(move || writer.clone(), id);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
    let written = String::from_utf8(file.0.lock().expect("no panic").clone()).expect("text");
    written.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_line_is_one_object_whatever_stands_in_it() {
    let error = std::io::Error::other("no \"stock\"\n{\"level\":\"ERROR\"}");
    let error: &(dyn std::error::Error + 'static) = &error;
    let lines = logged(
        || Some("checkout-7".into()),
        || {
            tracing::warn!(request_id = "of-another", lines = 3, cheap = true, error, "a\nb");
            tracing::info!(share = 0.5, left = -1, "shares");
        },
    );
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["message"], "a\nb");
    assert_eq!(lines[0]["level"], "WARN");
    assert_eq!(lines[0]["target"], "correlation_ids");
    assert_eq!(lines[0]["request_id"], "checkout-7");
    assert_eq!(lines[0]["fields"]["request_id"], "of-another");
    assert_eq!(lines[0]["fields"]["lines"], 3);
    assert_eq!(lines[0]["fields"]["cheap"], true);
    assert_eq!(lines[0]["fields"]["error"], "no \"stock\"\n{\"level\":\"ERROR\"}");
    assert!(lines[0]["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(lines[1]["fields"]["share"], 0.5);
    assert_eq!(lines[1]["fields"]["left"], -1);
}

#[test]
fn outside_of_a_request_a_line_has_no_id() {
    let lines = logged(TaskIds::current, || tracing::info!("opens"));
    assert!(lines[0].get("request_id").is_none());
    assert!(lines[0].get("fields").is_none());
}
