//! Those who are wrong about where a request begins, and what goes in and out.

use super::right::{
    RIGHT, Watch, answer, door, fail, judge, judge_from, judge_step, known_method, method, name,
    right, right_door, route, serving, watched, within,
};
use super::stepping::ByHand;
use http::{Method, Response};
use observability::spans::{Place, Recorder, Route, Spans};
use std::future::{Future, poll_fn};
use tracing::Instrument;
use tracing::field::{Empty, display};

/// `async fn serve`, as the starter suggests. The request begins when it is first polled: its time in
/// the queue is nobody's, and one that is dropped there has never been. Rejected by `never_begun`.
pub struct BegunWhenPolled;

serving!(BegunWhenPolled: |service, request| async move {
    within(right_door(&request), answer(service, request), RIGHT, judge).await
});

/// `info_span!("request", …)` without a word about its parent: a server's span is a root anyway, as
/// long as the request comes by wire. Rejected by `within_another`.
pub struct BeneathWhateverIsHere;

serving!(BeneathWhateverIsHere: |service, request| {
    let span = tracing::info_span!(
        "request",
        otel.name = name(&request),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = known_method(&request).unwrap_or("_OTHER"),
        http.route = route(&request),
        http.response.status_code = Empty,
        error.type = Empty,
        cancelled = Empty,
    );
    if let Some(caller) = request.extensions().get::<Place>() {
        Recorder::set_parent(&span, *caller);
    }
    within(span, answer(service, request), RIGHT, judge)
});

/// `poll_ready(…).await?`, and what the `?` lets out is judged by nobody. A service that refuses
/// whoever comes has a night without errors. Rejected by `at_the_door`.
pub struct QuestionMark;

serving!(QuestionMark: |service, request| {
    let span = right_door(&request);
    let judged = span.clone();
    let answered = async move {
        poll_fn(|context| service.poll_ready(context)).await?;
        let answered = service.call(request).await;
        judge(&judged, &answered);
        answered
    };
    within(span, answered, RIGHT, |_, _| {})
});

/// Looks at what becomes of the answer, from the moment at which there is one to wait for. Who hangs up
/// in the queue, says nothing. Rejected by `at_the_door`.
pub struct WatchedFromItsCall;

serving!(WatchedFromItsCall: |service, request| {
    let span = right_door(&request);
    let inner = span.clone();
    let answered = async move {
        let ready = poll_fn(|context| service.poll_ready(context)).await;
        if ready.is_err() {
            fail(&inner, std::any::type_name::<S::Error>());
        }
        ready?;
        watched(inner, async move { service.call(request).await }, RIGHT, judge).await
    }
    .instrument(span);
    #[expect(clippy::redundant_async_block, reason = "it lets go of the span: see the reference")]
    async move {
        answered.await
    }
});

/// The service is called in the span, and its answer is watched. A service that breaks before it has a
/// future was cancelled, it seems. Rejected by `at_the_door`.
pub struct OnlyTheAnswerPanics;

serving!(OnlyTheAnswerPanics: |service, request| {
    let span = right_door(&request);
    let inner = span.clone();
    let mut watch = Watch::over(span.clone(), RIGHT);
    let answered = async move {
        let ended = match poll_fn(|context| service.poll_ready(context)).await {
            Err(error) => Err(error),
            Ok(()) => {
                let mut answer = std::pin::pin!(service.call(request));
                poll_fn(|context| watch.during(|| answer.as_mut().poll(context))).await
            }
        };
        judge(&inner, &ended);
        watch.end();
        ended
    }
    .instrument(span);
    #[expect(clippy::redundant_async_block, reason = "it lets go of the span: see the reference")]
    async move {
        answered.await
    }
});

/// `instrument`, and nothing more: the span is held until the future is dropped. Rejected by
/// `with_its_work`.
pub struct AnsweredAndKept;

serving!(AnsweredAndKept: |service, request| {
    let span = right_door(&request);
    watched(span.clone(), answer(service, request), RIGHT, judge).instrument(span)
});

/// Entered at each poll, by hand. What a request gives back when its customer hangs up is logged by
/// nobody. Rejected by `hung_up`.
pub struct ServedByHand;

serving!(ServedByHand: |service, request| {
    let span = right_door(&request);
    let work = watched(span.clone(), answer(service, request), RIGHT, judge);
    ByHand { span, guarded: true, work }
});

/// The methods that come to mind. There are nine, and `PATCH` is `_OTHER` here. Rejected by
/// `the_request`.
pub struct MethodsThatComeToMind;

serving!(MethodsThatComeToMind: |service, request| {
    let known = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
    let method = known.contains(request.method()).then(|| request.method().as_str());
    let verb = method.unwrap_or("HTTP");
    let name = route(&request).map_or_else(|| verb.to_owned(), |route| format!("{verb} {route}"));
    let span = door(&request, &name, "server", method.unwrap_or("_OTHER"));
    within(span, answer(service, request), RIGHT, judge)
});

/// Of names one is careful, and logs what has come: `POST /orders/4711?card=…`, within the span.
/// Rejected by `the_request`.
pub struct LogsThePath;

serving!(LogsThePath: |service, request| {
    let span = right_door(&request);
    span.in_scope(|| tracing::info!(path = %request.uri(), "has come"));
    within(span, answer(service, request), RIGHT, judge)
});

/// The path of what has failed, for whoever has to look for it. What fails is not less secret. Rejected
/// by `failed_or_not`.
pub struct PathOfTheFailed;

serving!(PathOfTheFailed: |service, request| {
    let path = request.uri().to_string();
    within(right_door(&request), answer(service, request), RIGHT, move |span, ended| {
        judge(span, ended);
        if ended.as_ref().is_ok_and(|answer| answer.status().is_server_error()) {
            span.record("url.path", display(path));
        }
    })
});

/// The four that gateways answer with. Rejected by `failed_or_not`.
pub struct StatusesThatComeToMind;

serving!(StatusesThatComeToMind: |service, request| {
    within(right_door(&request), answer(service, request), RIGHT, |span, ended| {
        let lowest = match ended {
            Ok(answer) if ![500, 502, 503, 504].contains(&answer.status().as_u16()) => u16::MAX,
            _ => 500,
        };
        judge_from(lowest)(span, ended);
    })
});

/// `OK`, from the examples. In OpenTelemetry it is the last word: no failure counts after it. Rejected
/// by `failed_or_not`.
pub struct SaysOk;

serving!(SaysOk: |service, request| {
    within(right_door(&request), answer(service, request), RIGHT, |span, ended| {
        match ended {
            Ok(answer) if answer.status().as_u16() < 500 => {
                span.record("http.response.status_code", answer.status().as_u16());
                span.record("otel.status_code", "OK");
            }
            ended => judge(span, ended),
        }
    })
});

/// The same of a step. Rejected by `errors`.
pub struct StepsAreOk;

impl Spans for StepsAreOk {
    method!(step(name, work) {
        within(super::right::below(name), work, RIGHT, |span, ended| {
            judge_step(span, ended);
            if ended.is_ok() {
                span.record("otel.status_code", "OK");
            }
        })
    });
    right!(serve, in_task, in_thread);
}

/// Takes the route out of the request, because it is needed for longer. The one who answers has lost it.
/// Rejected by `passed_on`.
pub struct TakesTheRoute;

serving!(TakesTheRoute: |service, request| {
    let span = right_door(&request);
    let route = request.extensions_mut().remove::<Route>();
    let answer = answer(service, request);
    within(span, async move {
        let answered = answer.await;
        drop(route);
        answered
    }, RIGHT, judge)
});

/// Looks into the answer, and makes a new one of its parts. Of two of them. Rejected by `passed_on`.
pub struct AnswersAnew;

serving!(AnswersAnew: |service, request| {
    let span = right_door(&request);
    let answer = answer(service, request);
    within(span, async move {
        let answered = answer.await?;
        let status = answered.status();
        let mut anew = Response::new(answered.into_body());
        *anew.status_mut() = status;
        Ok(anew)
    }, RIGHT, judge)
});

/// `ERROR`, the level, so that no filter takes them away. Who asks for errors gets all there is.
/// Rejected by `quiet_log`.
pub struct ErrorsByLevel;

impl Spans for ErrorsByLevel {
    method!(step(name, work) {
        let span = tracing::error_span!(
            "step",
            otel.name = name,
            otel.status_code = Empty,
            otel.status_description = Empty,
            error.type = Empty,
            cancelled = Empty,
        );
        within(span, work, RIGHT, judge_step)
    });
    right!(serve, in_task, in_thread);
}
