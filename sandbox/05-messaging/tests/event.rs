//! The rules of CloudEvents 1.0 for an event in structured JSON.

use messaging::event::{Data, Event, Invalid, MEDIA_TYPE};
use messaging::{Message, event};
use serde_json::{Value, json};

fn placed() -> Event {
    Event {
        id: "0f9c".to_owned(),
        source: "/orders".to_owned(),
        kind: "order.placed.v1".to_owned(),
        subject: Some("order-7".to_owned()),
        time: Some("2026-11-22T10:00:00.25+01:00".to_owned()),
        data: Data::Json(json!({ "total_cents": 1250 })),
        extensions: [
            (
                "traceparent".to_owned(),
                json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ),
            ("sampled".to_owned(), json!(true)),
            ("attempt2".to_owned(), json!(-3)),
        ]
        .into(),
        ..Event::default()
    }
}

fn carried(body: &Value) -> Message {
    let content_type = Some(MEDIA_TYPE.to_owned());
    Message { content_type, ..Message::new("0f9c", "order.placed.v1", body.to_string()) }
}

/// The least that an event has to say, and one member more or otherwise.
fn with(name: &str, value: Value) -> Message {
    let mut event =
        json!({ "specversion": "1.0", "id": "0f9c", "source": "/orders", "type": "placed" });
    event[name] = value;
    carried(&event)
}

fn refused(message: &Message) -> String {
    Event::of(message).expect_err("no event").to_string()
}

#[test]
fn what_is_sent_is_what_arrives() {
    let event = placed();
    let message = event.message().expect("it is one");
    assert_eq!((message.id.as_str(), message.key.as_str()), ("0f9c", "order.placed.v1"));
    assert_eq!(message.content_type.as_deref(), Some("application/cloudevents+json"));
    let json: Value = serde_json::from_slice(&message.body).expect("JSON");
    assert_eq!(json["specversion"], "1.0");
    assert_eq!(json["type"], "order.placed.v1");
    assert_eq!(json["data"]["total_cents"], 1250);
    assert_eq!(json["sampled"], true, "an extension stands beside the attributes");
    assert!(json.get("dataschema").is_none(), "what is not there is left out");
    assert_eq!(Event::of(&message).expect("the same"), event);

    let bytes = Event { data: Data::Base64("AAEC".to_owned()), ..event.clone() };
    assert_eq!(Event::of(&bytes.message().expect("one")).expect("the same"), bytes);
    let text = Event {
        data: Data::Json(json!("hello")),
        data_content_type: Some("text/plain".to_owned()),
        data_schema: Some("https://example.com/order.json".to_owned()),
        ..event
    };
    assert_eq!(Event::of(&text.message().expect("one")).expect("the same"), text);
}

#[test]
fn the_media_type_says_that_it_is_one() {
    let message = placed().message().expect("it is one");
    let typed =
        |given: Option<&str>| Message { content_type: given.map(str::to_owned), ..message.clone() };
    for given in ["application/cloudevents+json; charset=UTF-8", "Application/CloudEvents+JSON"] {
        assert!(Event::of(&typed(Some(given))).is_ok(), "{given}");
    }
    for given in [None, Some("application/json"), Some("application/cloudevents-batch+json")] {
        let refused = Event::of(&typed(given));
        assert!(matches!(refused, Err(Invalid::MediaType(_))), "{given:?}");
    }
    let broken = Message { body: b"{".to_vec(), ..message.clone() };
    assert!(matches!(Event::of(&broken), Err(Invalid::Json(_))));
    assert!(matches!(Event::of(&carried(&json!([]))), Err(Invalid::NoObject)));
}

#[test]
fn what_is_required_is_there_and_not_empty() {
    for name in ["id", "source", "type"] {
        assert_eq!(refused(&with(name, Value::Null)), format!("`{name}` has to be there"));
        for value in [json!(""), json!(7), json!("a\nb")] {
            assert!(refused(&with(name, value)).contains("a text that is not empty"), "{name}");
        }
    }
    for version in [json!("0.3"), json!("2.0"), json!(1.0), Value::Null] {
        assert_eq!(refused(&with("specversion", version)), "`specversion` has to be 1.0");
    }
    assert!(refused(&with("subject", json!(""))).starts_with("`subject`"));
    assert!(refused(&with("source", json!("two words"))).starts_with("`source`"));
    let nameless = Event { id: String::new(), ..placed() };
    assert!(nameless.message().is_err(), "nor is one sent");
}

#[test]
fn null_is_as_not_there() {
    for name in ["subject", "time", "data", "data_base64", "dataschema", "traceparent"] {
        let event = Event::of(&with(name, Value::Null)).expect(name);
        assert_eq!((event.data, event.extensions.len(), event.subject), (Data::Nothing, 0, None));
    }
}

#[test]
fn an_extension_has_a_plain_name_and_a_plain_value() {
    for name in ["partitionKey", "x-id", "_id", "größe", ""] {
        assert!(refused(&with(name, json!("x"))).contains("small letters"), "{name}");
    }
    for value in [json!(1.5), json!(2_147_483_648_i64), json!([]), json!({}), json!("a\u{0}")] {
        assert!(refused(&with("rank", value)).starts_with("`rank`"));
    }
    let least = Event::of(&with("rank", json!(-2_147_483_648_i64))).expect("32 bits");
    assert_eq!(least.extensions["rank"], -2_147_483_648_i64);
    let mut event = placed();
    event.extensions.insert("subject".to_owned(), json!("another"));
    assert!(event.message().expect_err("taken").to_string().contains("`subject`"));
}

#[test]
fn data_is_one_of_two() {
    let mut both = json!({ "specversion": "1.0", "id": "a", "source": "/b", "type": "c" });
    both["data"] = json!({});
    both["data_base64"] = json!("AA==");
    assert!(refused(&carried(&both)).starts_with("`data_base64`"));
    assert!(refused(&with("data_base64", json!(7))).starts_with("`data_base64`"));
    let event = Event::of(&with("data", json!([1, "two"]))).expect("any JSON");
    assert_eq!(event.data, event::Data::Json(json!([1, "two"])));
}

#[test]
fn a_time_is_as_in_rfc_3339() {
    for time in [
        "2026-11-22T10:00:00Z",
        "2026-11-22t10:00:00z",
        "2026-12-31T23:59:60Z",
        "2026-11-22T10:00:00.123456789-08:30",
    ] {
        let event = Event::of(&with("time", json!(time))).expect(time);
        assert_eq!(event.time.as_deref(), Some(time), "kept as it is written");
    }
    for time in [
        "2026-11-22",
        "2026-11-22 10:00:00Z",
        "2026-11-22T10:00:00",
        "2026-13-22T10:00:00Z",
        "2026-11-00T10:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:00:00.Z",
        "2026-11-22T10:00:00+0100",
        "2026-11-22T10:00:00+25:00",
        "2026-11-22T10:00:00ZZ",
        "22.11.2026 à 10 heures et quart",
    ] {
        assert_eq!(refused(&with("time", json!(time))), "`time` has to be a time as in RFC 3339");
    }
}
