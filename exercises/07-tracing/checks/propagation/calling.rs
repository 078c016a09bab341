//! What a call tells, what an answer tells, and what a span tells.

use super::door::{Answering, BoxError, Door, apart, to};
use super::scene::{Orders, Rows, Scene};
use grading::{Evidence, Finding};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use observability::propagation::{BAGGAGE, Peer, TRACEPARENT, TRACESTATE};
use opentelemetry::trace::SpanKind;
use std::sync::Arc;

const PLAIN: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(super) async fn told_once(scene: Scene) -> Result<(), Finding> {
    let (gateway, orders) = (scene.service("gateway"), Orders::in_scene(&scene));
    let told: Rows<HeaderMap> = Rows::default();
    let inside = Door::new({
        let (gateway, orders, told) = (gateway.clone(), orders.door.clone(), told.clone());
        move |came| {
            let (gateway, orders, told) = (gateway.clone(), orders.clone(), told.clone());
            async move {
                // Three attempts at one call, each with all headers that came.
                for _ in 0..3 {
                    let (orders, told) = (orders.clone(), told.clone());
                    let listening = Door::new(move |request: Request<()>| -> Answering {
                        told.push(request.headers().clone());
                        orders.ask(request)
                    });
                    let mut request = to("POST", "/orders");
                    *request.headers_mut() = came.headers().clone();
                    // Asked here, and polled in a task that is nobody's.
                    let asked = gateway.subject.ask(Peer::Ours, listening, request);
                    apart(asked).result().await??;
                }
                Ok(Response::new(()))
            }
        }
    });
    let door = gateway.at(Peer::Ours, Some("/checkout"), inside);
    let headers: [(&str, &[u8]); 4] = [
        ("traceparent", PLAIN),
        ("tracestate", b"congo=1"),
        ("baggage", b"tenant=7"),
        ("x-shop", b"kept"),
    ];
    scene.ask("customer", &door, to("POST", "/checkout"), &headers).await?;
    let book = &scene.book;
    let checkout = book.one("gateway", "POST /checkout").await?;
    let asks = book.all("gateway", "POST", 3).await?;
    let serves = book.all("orders", "POST /orders", 3).await?;
    for nth in 0..3 {
        let headers = told.take()?;
        for name in [&TRACEPARENT, &TRACESTATE, &BAGGAGE] {
            let lines = headers.get_all(name).iter().count();
            if lines != 1 {
                let expected = format!("one {name} in each call");
                return Err(Evidence::new(expected, lines.to_string()).at(asks[nth].step).into());
            }
        }
        if !headers.contains_key("x-shop") {
            let saw = format!("{} others", headers.len());
            return Err(Evidence::new("x-shop told as well", saw).at(asks[nth].step).into());
        }
        let line = headers.get(&TRACEPARENT).and_then(|line| line.to_str().ok());
        let expected = format!("00-{}-{}-01", asks[nth].trace, asks[nth].id);
        if line != Some(&expected) {
            let saw = line.unwrap_or("none").to_owned();
            let expected = format!("the id of {} told: {expected}", asks[nth]);
            return Err(Evidence::new(expected, saw).at(asks[nth].step).into());
        }
        book.child(&asks[nth], &checkout)?;
        book.child(&serves[nth], &asks[nth])?;
    }
    Ok(())
}

pub(super) async fn answers(scene: Scene) -> Result<(), Finding> {
    let service = scene.service("orders");
    for (caller, status) in [
        (Peer::Ours, StatusCode::OK),
        (Peer::Stranger, StatusCode::OK),
        (Peer::Ours, StatusCode::NOT_FOUND),
        (Peer::Stranger, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let inside = Door::new(move |came| async move {
            // All headers of the next service's answer are passed on, and it has mirrored ours.
            let mut answer = Response::new(());
            *answer.status_mut() = status;
            *answer.headers_mut() = came.headers().clone();
            answer.headers_mut().insert("x-shop", HeaderValue::from_static("kept"));
            Ok(answer)
        });
        let door = service.at(caller, Some("/orders"), inside);
        let headers: [(&str, &[u8]); 3] =
            [("traceparent", PLAIN), ("tracestate", b"congo=1"), ("baggage", b"tenant=7")];
        let answer = scene.ask("customer", &door, to("GET", "/orders"), &headers).await?;
        if answer.status() != status || !answer.headers().contains_key("x-shop") {
            let saw = format!("{}, with {} headers", answer.status(), answer.headers().len());
            return Err(Evidence::new(format!("{status} with its headers"), saw).into());
        }
        for name in [&TRACEPARENT, &TRACESTATE, &BAGGAGE] {
            if answer.headers().contains_key(name) {
                return Err(Evidence::new(format!("no {name} on the answer"), "one").into());
            }
        }
    }
    let inside = Door::new(|_| async { Err(BoxError::from("no stock")) });
    let door = service.at(Peer::Ours, Some("/orders"), inside);
    let subject = Arc::clone(&scene.service("gateway").subject);
    let asked = async move { subject.ask(Peer::Ours, door, to("GET", "/orders")).await };
    match apart(asked).result().await? {
        Err(error) if error.to_string() == "no stock" => Ok(()),
        Err(error) => match super::scene::found(error) {
            Finding::Invalid(_) => {
                Err(Evidence::new("the error `no stock`, as it is", "another error").into())
            }
            other => Err(other),
        },
        Ok(answer) => {
            let saw = answer.status().to_string();
            Err(Evidence::new("the error `no stock`, as it is", saw).into())
        }
    }
}

pub(super) async fn named(scene: Scene) -> Result<(), Finding> {
    let (gateway, orders) = (scene.service("gateway"), scene.service("orders"));
    let book = &scene.book;
    // Method, path, route, what is answered; then names, and who calls it an error.
    type Case = (&'static str, &'static str, Option<&'static str>, Option<u16>);
    let cases: [(Case, &str, &str, bool, bool); 9] = [
        (
            ("GET", "/orders/7?token=a", Some("/orders/{id}"), Some(200)),
            "GET /orders/{id}",
            "GET",
            false,
            false,
        ),
        (("PUT", "/orders/8", None, Some(201)), "PUT", "PUT", false, false),
        (("BREW", "/pot", Some("/pot"), Some(200)), "HTTP /pot", "HTTP", false, false),
        (("DELETE", "/orders/9", None, Some(404)), "DELETE", "DELETE", false, true),
        (("PATCH", "/orders/9", None, Some(503)), "PATCH", "PATCH", true, true),
        // At the edges, and what is neither well nor wrong.
        (("OPTIONS", "/orders/9", None, Some(304)), "OPTIONS", "OPTIONS", false, false),
        (("TRACE", "/orders/9", None, Some(400)), "TRACE", "TRACE", false, true),
        (("CONNECT", "/orders/9", None, Some(500)), "CONNECT", "CONNECT", true, true),
        (("HEAD", "/orders/9", None, None), "HEAD", "HEAD", true, true),
    ];
    for ((method, path, route, status), served, asked, server_error, client_error) in cases {
        scene.world.history().turn_page();
        let inside = Door::new(move |_| async move {
            let mut answer = Response::new(());
            let status = status.ok_or_else(|| BoxError::from("no stock"))?;
            *answer.status_mut() = StatusCode::from_u16(status)?;
            Ok(answer)
        });
        let door = orders.at(Peer::Ours, route, inside);
        let subject = Arc::clone(&gateway.subject);
        let asking = async move { subject.ask(Peer::Ours, door, to(method, path)).await.map(drop) };
        match apart(asking).result().await? {
            Err(error) if status.is_some() => return Err(super::scene::found(error)),
            _ => {}
        }
        let ours = book.one("gateway", asked).await?;
        let theirs = book.one("orders", served).await?;
        book.kind(&ours, &SpanKind::Client)?;
        book.kind(&theirs, &SpanKind::Server)?;
        let word = if method == "BREW" { "_OTHER" } else { method };
        for span in [&ours, &theirs] {
            book.says(span, "http.request.method", word)?;
            if let Some(status) = status {
                book.says(span, "http.response.status_code", &status.to_string())?;
            }
            if let Some((key, value)) = span.says.iter().find(|(_, value)| value.contains("token"))
            {
                let expected = format!("{span} without the query, where tokens are");
                return Err(Evidence::new(expected, format!("{key} = {value}")).into());
            }
        }
        if let Some(route) = route {
            book.says(&theirs, "http.route", route)?;
        }
        for (span, expected) in [(&ours, client_error), (&theirs, server_error)] {
            if span.is_error != expected {
                let word = |is_error: bool| if is_error { "an error" } else { "no error" };
                let kind = span.kind.to_lowercase();
                let told = format!("{span}, a {kind}, as {}", word(expected));
                return Err(Evidence::new(told, word(span.is_error)).at(span.step).into());
            }
        }
    }
    let subject = Arc::clone(&orders.subject);
    let work = apart(async move {
        let row = subject.enqueue("orders.placed");
        let messages = [super::scene::delivery(&row.to_json(), false)];
        subject.send("orders.placed", row, Box::new(|_| Box::pin(std::future::ready(())))).await;
        subject.receive("orders.placed", &messages, Box::pin(async {})).await;
    });
    work.result().await?;
    for operation in ["create", "send", "process"] {
        let span = book.one("orders", &format!("{operation} orders.placed")).await?;
        book.says(&span, "messaging.operation.name", operation)?;
        book.says(&span, "messaging.destination.name", "orders.placed")?;
    }
    Ok(())
}
