//! Those who are wrong about what comes from outside, or about the answer.

use super::right::{
    believed, fresh, is_plain_letter, method, only, plain, put, ready, right, served, value,
};
use http::header::Entry;
use http::{HeaderMap, HeaderValue, StatusCode};
use observability::correlation_ids::{CorrelationIds, LONGEST, REQUEST_ID};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A decoy, by which id a request gets. The rest is as it should be.
macro_rules! believing {
    ($decoy:ident: |$headers:ident| $id:expr) => {
        impl CorrelationIds for $decoy {
            method!(serve(service, request) {
                let $headers: &HeaderMap = request.headers();
                let id: Arc<str> = $id;
                served(service, request, id, |headers, id, _| put(headers, id))
            });

            right!(ask);
            right!(in_task);
            right!(in_thread);
            right!(current);
        }
    };
}

/// A decoy, by what it writes into an answer. The rest is as it should be.
macro_rules! answering {
    ($decoy:ident: |$headers:ident, $id:ident, $status:ident| $tell:expr) => {
        impl CorrelationIds for $decoy {
            method!(serve(service, request) {
                let id = believed(request.headers());
                served(service, request, id, |$headers, $id, $status| $tell)
            });

            right!(ask);
            right!(in_task);
            right!(in_thread);
            right!(current);
        }
    };
}

/// Each service makes an id of its own, as a middleware does that came with the framework. Three
/// services, three ids, and nothing that joins them. Rejected by `three_services`.
pub struct AlwaysNew;

believing!(AlwaysNew: |_headers| fresh());

/// Whatever stands there is the id. It goes into every line, and the logs of eight services are
/// written by whoever likes. Rejected by `odd_ones`.
pub struct BelievesAll;

believing!(BelievesAll: |headers| match only(headers) {
    Some(value) => String::from_utf8_lossy(value.as_bytes()).into(),
    None => fresh(),
});

/// Leaves out what is odd, as Rails does. Ids that differ become one, and the client searches for
/// something that is nowhere. Rejected by `odd_ones`.
pub struct CleansUp;

believing!(CleansUp: |headers| {
    let bytes = only(headers).map(HeaderValue::as_bytes).unwrap_or_default();
    let kept = bytes.iter().copied().filter(|byte| is_plain_letter(*byte)).take(LONGEST);
    let kept: String = kept.map(char::from).collect();
    if kept.is_empty() { fresh() } else { kept.into() }
});

/// Cuts off what is too long. Those that begin alike are then the same. Rejected by `odd_ones`.
pub struct CutsOff;

believing!(CutsOff: |headers| {
    let cut = only(headers).and_then(|value| value.to_str().ok()).map(|text| {
        text.get(..LONGEST).unwrap_or(text).to_owned()
    });
    match cut {
        Some(cut) if !cut.is_empty() && cut.bytes().all(is_plain_letter) => cut.into(),
        _ => fresh(),
    }
});

/// Looks at the characters and not at how many there are: `all` is true of none. A header without a
/// value is an id that belongs to everybody. Rejected by `odd_ones`.
pub struct EmptyIsAnId;

believing!(EmptyIsAnId: |headers| match only(headers).and_then(|value| value.to_str().ok()) {
    Some(text) if text.len() <= LONGEST && text.bytes().all(is_plain_letter) => text.into(),
    _ => fresh(),
});

/// A limit on the characters, and none on their number. 64 KB in every line is one stranger's idea
/// of a joke. Rejected by `odd_ones`.
pub struct NoLimit;

believing!(NoLimit: |headers| match only(headers).and_then(|value| value.to_str().ok()) {
    Some(text) if !text.is_empty() && text.bytes().all(is_plain_letter) => text.into(),
    _ => fresh(),
});

/// One too many. Rejected by `odd_ones`.
pub struct OneTooMany;

believing!(OneTooMany: |headers| match only(headers).and_then(|value| value.to_str().ok()) {
    Some(text) if (1..=LONGEST + 1).contains(&text.len()) && text.bytes().all(is_plain_letter) => {
        text.into()
    }
    _ => fresh(),
});

/// `char::is_alphanumeric` is about all of Unicode: letters that look like others, and digits that
/// no search finds. Rejected by `odd_ones`.
pub struct AllOfUnicode;

believing!(AllOfUnicode: |headers| {
    let text = only(headers).and_then(|value| str::from_utf8(value.as_bytes()).ok());
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    match text {
        Some(text) if (1..=LONGEST).contains(&text.len()) && text.chars().all(plain) => text.into(),
        _ => fresh(),
    }
});

/// Bans what it has heard of: quotes, commas and line breaks. Rejected by `odd_ones`.
pub struct BansTheKnown;

believing!(BansTheKnown: |headers| {
    let text = only(headers).and_then(|value| str::from_utf8(value.as_bytes()).ok());
    let bad = |c: char| c.is_ascii_control() || "\"'\\,;=<>%/ ".contains(c);
    match text {
        Some(text) if (1..=LONGEST).contains(&text.len()) && !text.contains(bad) => text.into(),
        _ => fresh(),
    }
});

/// One name for all that cannot be read. They are then one request. Rejected by `odd_ones`.
pub struct InvalidIsAnId;

believing!(InvalidIsAnId: |headers| match only(headers) {
    Some(value) => plain(value).unwrap_or_else(|| "invalid".into()),
    None => fresh(),
});

/// `to_str().unwrap()`: a byte that is not ASCII, and the service hangs up. Rejected by `odd_ones`.
pub struct UnwrapsIt;

believing!(UnwrapsIt: |headers| {
    if let Some(value) = only(headers) {
        let _ = value.to_str().expect("a header is text");
    }
    believed(headers)
});

/// Only what it would make itself is an id. The partner's order numbers are none, and the partner
/// cannot find anything. Rejected by `believed`.
pub struct OnlyUuids;

believing!(OnlyUuids: |headers| {
    let text = only(headers).and_then(|value| value.to_str().ok());
    match text.filter(|text| uuid::Uuid::try_parse(text).is_ok()) {
        Some(text) => text.into(),
        None => fresh(),
    }
});

/// In small letters, so that all look alike. Who searches for their own finds nothing. Rejected by
/// `believed`.
pub struct SmallLetters;

believing!(SmallLetters: |headers| believed(headers).to_ascii_lowercase().into());

/// Who brings none has none: a hyphen, as in the access logs of old. All of them are one request.
/// Rejected by `made_anew`.
pub struct AHyphenForNone;

believing!(AHyphenForNone: |headers| match headers.get(REQUEST_ID) {
    None => "-".into(),
    Some(_) => believed(headers),
});

/// `headers().get` gives the first. The proxy behind believes the last. Rejected by `two_headers`.
pub struct FirstOfTwo;

believing!(FirstOfTwo: |headers| headers.get(REQUEST_ID).and_then(plain).unwrap_or_else(fresh));

/// The last that is plain. Rejected by `two_headers`.
pub struct LastOfTwo;

believing!(LastOfTwo: |headers| {
    headers.get_all(REQUEST_ID).iter().filter_map(plain).next_back().unwrap_or_else(fresh)
});

/// Joined, so that none is lost. Rejected by `two_headers`.
pub struct JoinsThem;

believing!(JoinsThem: |headers| {
    let all: Vec<_> = headers.get_all(REQUEST_ID).iter().filter_map(plain).collect();
    let joined = all.join("-");
    if joined.is_empty() { fresh() } else { joined.into() }
});

/// Counts. So does the other instance, from one, and so does this one after a restart. Rejected by
/// `another_process`.
pub struct CountsUp;

static COUNTED: AtomicU64 = AtomicU64::new(1);

believing!(CountsUp: |headers| match only(headers).and_then(plain) {
    Some(id) => id,
    None => format!("request-{}", COUNTED.fetch_add(1, Ordering::Relaxed)).into(),
});

/// The time of day in milliseconds: sorted, short, and the same for all that come in one of them.
/// Rejected by `many_new`.
pub struct ByTheClock;

believing!(ByTheClock: |headers| match only(headers).and_then(plain) {
    Some(id) => id,
    None => {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_millis().to_string().into()
    }
});

/// Logs it, passes it on, and tells nobody. The customer has nothing to name in the ticket. Rejected
/// by `made_anew`.
pub struct TellsNobody;

answering!(TellsNobody: |_headers, _id, _status| ());

/// `append`, and the answer carries two. Rejected by `one_on_the_answer`.
pub struct AppendsToTheAnswer;

answering!(AppendsToTheAnswer: |headers, id, _status| {
    headers.append(REQUEST_ID, value(id));
});

/// Where one stands already, that stays: it came from a service behind, or from a cache, and is
/// somebody else's. Rejected by `one_on_the_answer`.
pub struct KeepsWhatIsThere;

answering!(KeepsWhatIsThere: |headers, id, _status| {
    if let Entry::Vacant(vacant) = headers.entry(REQUEST_ID) {
        vacant.insert(value(id));
    }
});

/// On the way out of what went well. Those who need the id are the others. Rejected by
/// `every_answer`.
pub struct OnlyWhatWentWell;

answering!(OnlyWhatWentWell: |headers, id, status| {
    let status: StatusCode = status;
    if status.is_success() {
        put(headers, id);
    }
});

/// Believes nothing odd, and leaves it in the request, where the next reader finds it: a handler, or
/// a gateway that passes on all headers. Rejected by `odd_ones`.
pub struct LeavesWhatCame;

impl CorrelationIds for LeavesWhatCame {
    method!(serve(service, request) {
        let id = believed(request.headers());
        if request.headers().get(REQUEST_ID).is_none() {
            put(request.headers_mut(), &id);
        }
        super::right::NOW.scope(Some(Arc::clone(&id)), async move {
            ready(&mut service).await?;
            let mut response = service.call(request).await?;
            put(response.headers_mut(), &id);
            Ok(response)
        })
    });

    right!(ask);
    right!(in_task);
    right!(in_thread);
    right!(current);
}

/// Calls a service that has not said that it is ready. One with a limit panics, or lets through more
/// than it has places. Rejected by `every_answer`.
pub struct CallsTheUnready;

impl CorrelationIds for CallsTheUnready {
    method!(serve(service, request) {
        let id = believed(request.headers());
        put(request.headers_mut(), &id);
        super::right::NOW.scope(Some(Arc::clone(&id)), async move {
            let mut response = service.call(request).await?;
            put(response.headers_mut(), &id);
            Ok(response)
        })
    });

    right!(ask);
    right!(in_task);
    right!(in_thread);
    right!(current);
}
