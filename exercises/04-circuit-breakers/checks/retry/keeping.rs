//! What is kept over a pause.

use super::scene::{Shop, get, play};
use circuit_breakers::retry::{Outcome, Repeatable, Retry};
use grading::{Evidence, Finding, World};
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::sleep;

pub(super) async fn pause_holds_nothing<S: Retry>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let config = stage.config();
        let client = stage.client::<S>(config);
        let held = Arc::new(());
        let attempt = {
            let held = Arc::downgrade(&held);
            move |nth| {
                // As a response holds the connection on which its body is still to come.
                let (mut answer, work) = (held.upgrade(), held.upgrade());
                // It has this until it is dropped, as futures do that are written by hand.
                poll_fn(move |_| {
                    let _kept = &work;
                    Poll::Ready(match nth {
                        1 => Outcome::Busy(answer.take(), Duration::from_secs(5)),
                        _ => Outcome::Final(answer.take()),
                    })
                })
            }
        };
        let retry = Arc::clone(&client.retry);
        let call = async move {
            let _ = retry.call(Repeatable::Yes, None, attempt).await;
        };
        nothing_is_kept(&client.shop, &held, call).await?;

        client.shop.turn_page();
        let attempt = {
            let (held, mut nth) = (Arc::downgrade(&held), 0);
            move |_| {
                nth += 1;
                let mut answer = Response::new(held.upgrade());
                if nth == 1 {
                    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    answer.headers_mut().insert(RETRY_AFTER, 5.into());
                }
                async move { Ok(answer) }
            }
        };
        let retry = Arc::clone(&client.retry);
        let send = async move {
            let _ = retry.send(get(), attempt).await;
        };
        nothing_is_kept(&client.shop, &held, send).await
    })
    .await
}

/// Looks at a call in its pause of five seconds.
async fn nothing_is_kept(
    shop: &Shop,
    held: &Arc<()>,
    call: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Finding> {
    let call = tokio::spawn(call);
    sleep(Duration::from_secs(2)).await;
    let step = shop.note("client", "waits: the first attempt has failed, told 5 s");
    if call.is_finished() {
        call.await?;
        return Err(Evidence::new("a pause of 5 s", "it did not wait").at(step).into());
    }
    let kept = Arc::strong_count(held) - 1;
    call.await?;
    match kept {
        0 => Ok(()),
        _ => {
            let expected =
                "the attempt that failed, and its answer, to be dropped before the pause";
            Err(Evidence::new(expected, "it is kept until the next one").at(step).into())
        }
    }
}
