//! What a line is.

use super::scene::{NOW, Scene, raise};
use grading::{Finding, World};
use observability::structured_logs::StructuredLogs;
use serde_json::json;
use std::fmt;

pub(super) async fn one_object<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let placed = raise!(scene, info!(lines = 3, note = r#"a "gift" \o/"#, "placed"));
    placed.is("/level", "INFO")?;
    placed.is("/target", module_path!())?;
    placed.is("/timestamp", NOW)?;
    placed.is("/message", "placed")?;
    placed.is("/fields", json!({"lines": 3, "note": r#"a "gift" \o/"#}))?;
    let line = placed.line()?;
    let has_id = line.get("request_id").is_some();
    placed.expected(!has_id, "no request_id outside of a request", "one")?;

    let named = scene.for_request("checkout-7");
    let quoted = raise!(named, error!("the \"till\" is {}, {{}}", r"C:\shop"));
    quoted.is("/level", "ERROR")?;
    quoted.is("/message", r#"the "till" is C:\shop, {}"#)?;
    quoted.is("/request_id", "checkout-7")?;
    let has_fields = quoted.line()?.get("fields").is_some();
    quoted.expected(!has_fields, "no fields where there are none", "some")?;

    // A message need not come from a format.
    let named = raise!(scene, info!(lines = 3, message = "placed"));
    named.is("/message", "placed")?;
    named.is("/fields", json!({"lines": 3}))?;
    raise!(scene, info!(message = 7)).is("/message", "7")?;

    // `tracing` has room for 32.
    let many = raise!(
        scene,
        info!(
            a = 1,
            b = 2,
            c = 3,
            d = 4,
            e = 5,
            f = 6,
            g = 7,
            h = 8,
            i = 9,
            j = 10,
            k = 11,
            l = 12,
            m = 13,
            n = 14,
            o = 15,
            p = 16,
            q = 17,
            r = 18,
            s = 19,
            t = 20,
            u = 21,
            v = 22,
            w = 23,
            x = 24,
            y = 25,
            z = 26,
            "placed"
        )
    );
    for (nth, name) in ('a'..='z').enumerate() {
        many.is(&format!("/fields/{name}"), nth + 1)?;
    }

    let silent = raise!(scene, warn!(left = 0));
    silent.is("/message", "")?;
    silent.is("/fields", json!({"left": 0}))
}

pub(super) async fn typed<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let number = raise!(scene, info!(took_ms = 12_u64, left = -3, share = 0.1, "sold"));
    number.is("/fields/took_ms", 12)?;
    number.is("/fields/left", -3)?;
    number.is("/fields/share", 0.1)?;
    let text =
        raise!(scene, info!(paid = true, size = "7", answer = "true", name = %"anna", "sold"));
    text.is("/fields/paid", true)?;
    text.is("/fields/size", "7")?;
    text.is("/fields/answer", "true")?;
    text.is("/fields/name", "anna")?;
    let debug = raise!(scene, info!(state = ?Some(3), "sold"));
    debug.is("/fields/state", "Some(3)")
}

pub(super) async fn odd_numbers<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let none = raise!(
        scene,
        info!(share = f64::NAN, most = f64::INFINITY, least = f64::NEG_INFINITY, "x")
    );
    none.is("/fields/share", "NaN")?;
    none.is("/fields/most", "inf")?;
    none.is("/fields/least", "-inf")?;
    let (most, least) = ((1_i64 << 53) - 1, 1 - (1_i64 << 53));
    let exact = raise!(scene, info!(most, least, unsigned = 9_007_199_254_740_991_u64, "x"));
    exact.is("/fields/most", most)?;
    exact.is("/fields/least", least)?;
    exact.is("/fields/unsigned", most)?;
    let beyond = raise!(scene, info!(most = most + 1, least = least - 1, "x"));
    beyond.is("/fields/most", "9007199254740992")?;
    beyond.is("/fields/least", "-9007199254740992")?;
    let large =
        raise!(scene, info!(id = 9_007_199_254_740_993_u64, all = u64::MAX, low = i64::MIN, "x"));
    large.is("/fields/id", "9007199254740993")?;
    large.is("/fields/all", u64::MAX.to_string())?;
    large.is("/fields/low", i64::MIN.to_string())?;
    let wide = raise!(scene, info!(all = u128::MAX, low = i128::MIN, small = 7_u128, "x"));
    wide.is("/fields/all", u128::MAX.to_string())?;
    wide.is("/fields/low", i128::MIN.to_string())?;
    wide.is("/fields/small", 7)
}

/// Has its own line's end in its `Debug`.
struct Multi;

impl fmt::Debug for Multi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a\nb\u{2029}c")
    }
}

/// What begins a line for some reader, or a command for some terminal, or turns the text around.
fn unruly() -> impl Iterator<Item = char> {
    let ends = ['\u{2028}', '\u{2029}'];
    let turns = ['\u{200e}', '\u{200f}', '\u{61c}'];
    let control = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
    let more = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
    control.chain(ends).chain(turns).chain(more)
}

pub(super) async fn no_second_line<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    for unruly in unruly() {
        scene.world.history().turn_page();
        let value = format!("a{unruly}{{\"level\":\"ERROR\",\"message\":\"paid\"}}");
        // It came with the request, as the value did.
        let named = scene.for_request(&format!("7{unruly}"));
        let written = named.raise("info!(name = value, \"hello {value}\")", &mut || {
            tracing::info!(name = value, "hello {value}");
        });
        let shown = unruly.escape_unicode().to_string();
        let inside = written.text.trim_end_matches('\n');
        let saw = format!("{shown} in the midst of it");
        written.expected(!inside.contains(unruly), "one line, whoever reads it", &saw)?;
        written.is("/fields/name", value.as_str())?;
        written.is("/message", format!("hello {value}"))?;
        written.is("/request_id", format!("7{unruly}"))?;
    }
    scene.world.history().turn_page();
    let debug = raise!(scene, info!(state = ?Multi, "x"));
    let inside = debug.text.trim_end_matches('\n');
    debug.expected(!inside.contains(['\n', '\u{2029}']), "one line", "two")?;
    debug.is("/fields/state", "a\nb\u{2029}c")?;
    // What is merely foreign is no danger.
    let foreign = raise!(scene, info!(name = "Zoë 🛒 ящик", "ships"));
    foreign.is("/fields/name", "Zoë 🛒 ящик")
}

pub(super) async fn own_names<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?.for_request("checkout-7");
    let ours = raise!(
        scene,
        warn!(level = "TRACE", timestamp = 0, target = "bank", request_id = "of-another", "late")
    );
    ours.is("/level", "WARN")?;
    ours.is("/timestamp", NOW)?;
    ours.is("/target", module_path!())?;
    ours.is("/request_id", "checkout-7")?;
    ours.is("/message", "late")?;
    ours.is("/fields/level", "TRACE")?;
    ours.is("/fields/timestamp", 0)?;
    ours.is("/fields/request_id", "of-another")?;
    let once = ["\"level\"", "\"timestamp\"", "\"request_id\"", "\"target\""];
    for name in once {
        // Of the same name twice in one object, each reader believes another.
        let times = ours.text.matches(name).count();
        ours.expected(times == 2, "each name once, and once in fields", "one of them more often")?;
    }
    let second = raise!(scene, info!(fields = 1, message = "of the caller", "ours"));
    second.is("/message", "ours")?;
    second.is("/fields/fields", 1)?;
    second.is("/fields/message", "of the caller")
}
