//! What is repeated at all, and by whom.

use super::scene::{Answering, Broken, Ended, Reply, get, play, request, text};
use circuit_breakers::retry::{ATTEMPT, Config, IDEMPOTENCY_KEY, Retry};
use circuit_breakers::timeouts::Deadline;
use grading::{Finding, World};
use http::{HeaderValue, Method, Request, Version};
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn only_idempotent<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        for failure in [Reply::Status(503), Reply::Broken(1), Reply::Later(503, "1")] {
            let unknown = Method::from_bytes(b"SETTLE").expect("a method");
            for method in [Method::POST, Method::PATCH, Method::CONNECT, unknown] {
                client.shop.turn_page();
                client.shop.always(failure.clone());
                let ended = client.sends(request(method.clone())).await?;
                ended.times(1, &format!("a second {method} may be a second order"))?;
                let mut empty = request(method.clone());
                empty.headers_mut().insert(IDEMPOTENCY_KEY, HeaderValue::from_static(""));
                client.sends(empty).await?.times(1, "an empty key is none")?;
                let mut keyed = request(method);
                keyed.headers_mut().insert(IDEMPOTENCY_KEY, HeaderValue::from_static("k-7"));
                client.shop.says([failure.clone()]);
                client.sends(keyed).await?.times(2, "with a key it is known again")?;
            }
            let (safe, others) =
                ([Method::GET, Method::HEAD, Method::OPTIONS], [Method::PUT, Method::DELETE]);
            for method in safe.into_iter().chain(others) {
                client.shop.turn_page();
                client.shop.says([failure.clone()]);
                let ended = client.sends(request(method.clone())).await?;
                ended.times(2, &format!("a second {method} changes nothing more"))?;
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn same_request<S: Retry>(world: World) -> Result<(), Finding> {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct User(u64);

    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        let number: u64 = stage.random.random();
        let key = format!("order-{number:x}");
        let mut order = Request::builder()
            .method(Method::POST)
            .uri("/orders?express=1")
            .version(Version::HTTP_2)
            .header(IDEMPOTENCY_KEY, &key)
            .header("accept", "application/json")
            .header("accept", "text/plain")
            .body(format!("order {number}"))
            .expect("a request");
        order.extensions_mut().insert(User(number));
        let deadline = Deadline::in_time(Duration::from_secs(3_600));
        order.extensions_mut().insert(deadline);
        client.shop.always(Reply::Broken(1));
        let ended = client.sends(order).await?;
        ended.times(3, "it has a key")?;
        for (asked, nth) in ended.asked.iter().zip(1_u32..) {
            let request = &asked.request;
            let headers = request.headers();
            for (whole, what) in [
                (text(headers, "idempotency-key") == Some(&key), "its key"),
                (request.body() == &format!("order {number}"), "its body"),
                (request.method() == Method::POST, "its method"),
                (request.uri() == "/orders?express=1", "its address"),
                (request.version() == Version::HTTP_2, "its version"),
                (
                    headers.get_all("accept").iter().eq(["application/json", "text/plain"]),
                    "its headers, in both lines",
                ),
                (request.extensions().get() == Some(&User(number)), "its extensions"),
                (request.extensions().get() == Some(&deadline), "its deadline beside it"),
                (text(headers, "attempt") == Some(&nth.to_string()), "`attempt`, from 1 upwards"),
                (headers.get_all(ATTEMPT).iter().count() == 1, "`attempt`, once"),
                (headers.len() == 4, "nothing else"),
            ] {
                if !whole {
                    let expected = format!("attempt {nth} to have {what}");
                    return Err(ended.not(expected, format!("{headers:?}, {}", request.body())));
                }
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn final_answers<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        let final_ones = [
            200, 204, 301, 304, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 422, 425, 428,
            429, 500, 501, 505, 507,
        ];
        for status in final_ones {
            client.shop.turn_page();
            client.shop.says([Reply::Status(status)]);
            let ended = client.sends(get()).await?;
            ended.times(1, &format!("a {status} is the same the next time"))?;
            ended.status(status)?;
        }
        // Retry-After makes no defect a bad moment.
        for status in [400, 404, 500] {
            client.shop.says([Reply::Later(status, "1")]);
            client.sends(get()).await?.times(1, &format!("a {status} is the same later"))?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn refusals_are_final<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        // As a breaker that is open: its errors are those with even numbers.
        let transient = |error: &circuit_breakers::BoxError| {
            error.downcast_ref().is_some_and(|Broken(number)| number % 2 == 1)
        };
        let config = Config { transient, ..stage.config() };
        let client = stage.client::<S>(config);
        client.shop.says([Reply::Broken(2)]);
        let ended = client.sends(get()).await?;
        ended.times(1, "`transient` says that it would be the same")?;
        let told = ended.answer.as_ref().err().and_then(|error| error.downcast_ref());
        if told != Some(&Broken(2)) {
            return Err(ended.not("the error as it was", format!("{:?}", ended.answer)));
        }
        client.shop.says([Reply::Broken(3), Reply::Broken(4)]);
        client.sends(get()).await?.times(2, "the first was transient, the second not")
    })
    .await
}

pub(super) async fn one_layer_of_three<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let below = stage.client::<S>(config);
        let shop = below.shop.clone();
        let middle = stage.client::<S>(config).retry;
        let top = stage.client::<S>(config).retry;
        // Three services, each of which passes on what it was told, and repeats what fails.
        let asks = move |request| -> Answering {
            let (below, middle) = (below.clone(), Arc::clone(&middle));
            Box::pin(async move { middle.send(request, move |request| below.send(request)).await })
        };
        let send = |request: Request<String>| {
            let (top, asks) = (Arc::clone(&top), asks.clone());
            let told = format!("{} through three services", request.method());
            let sent = async move { top.send(request, asks).await };
            shop.watches(told, sent)
        };
        for failure in [Reply::Status(503), Reply::Broken(1)] {
            shop.always(failure);
            let ended = send(get()).await?;
            ended.times(3, "one layer repeats, and the others know of it")?;
        }
        // What is not repeated above carries no mark: somebody below may have a use for it.
        let ended = send(request(Method::POST)).await?;
        ended.times(1, "a POST")?;
        let marked = |ended: &Ended| {
            let first = ended.asked.first();
            first.and_then(|asked| text(asked.request.headers(), "attempt")).map(str::to_owned)
        };
        if let Some(mark) = marked(&ended) {
            return Err(ended.not("no `attempt`: nobody repeats it", format!("attempt: {mark}")));
        }
        // A mark of somebody else's stays what it is.
        for mark in ["2", "1", "again"] {
            let mut second = get();
            second.headers_mut().insert(ATTEMPT, HeaderValue::from_static(mark));
            let ended = send(second).await?;
            ended.times(1, "its sender repeats it already")?;
            match marked(&ended) {
                Some(came) if came == mark => {}
                other => {
                    let expected = format!("attempt: {mark}, as it came");
                    return Err(ended.not(expected, format!("{other:?}")));
                }
            }
        }
        Ok(())
    })
    .await
}
