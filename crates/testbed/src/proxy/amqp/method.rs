//! The methods of AMQP: their names, and what of them a check wants to see.
//!
//! Source: the [AMQP 0-9-1 reference](https://www.rabbitmq.com/amqp-0-9-1-reference) and RabbitMQ's
//! extensions to it, [`basic.nack`](https://www.rabbitmq.com/docs/nack) and
//! [`confirm.select`](https://www.rabbitmq.com/docs/confirms).

use crate::proxy::rule::Request;

/// A row of the specification.
struct Method {
    class: u16,
    id: u16,
    name: &'static str,
    /// What follows on the wire: a type and a name, or the type alone of what nobody asks for.
    /// `16`, `32`, `64`: an unsigned number of so many bits; `text`: a short string; `table`: the
    /// arguments of RabbitMQ's extensions, not shown; `bit`: eight of which share an octet.
    fields: &'static str,
    /// Whether a header and a body follow.
    carries: bool,
}

const fn method(class: u16, id: u16, name: &'static str, fields: &'static str) -> Method {
    Method { class, id, name, fields, carries: false }
}

const fn content(class: u16, id: u16, name: &'static str, fields: &'static str) -> Method {
    Method { class, id, name, fields, carries: true }
}

/// Fields of content, after those of its method.
const CONTENT: [&str; 2] = ["message-id", "body"];

const CLOSE: &str = "16:reply-code text:reply-text 16 16";

#[rustfmt::skip]
const METHODS: &[Method] = &[
    method(10, 10, "connection.start", ""),
    method(10, 11, "connection.start-ok", ""),
    method(10, 20, "connection.secure", ""),
    method(10, 21, "connection.secure-ok", ""),
    method(10, 30, "connection.tune", ""),
    method(10, 31, "connection.tune-ok", ""),
    method(10, 40, "connection.open", "text:virtual-host"),
    method(10, 41, "connection.open-ok", ""),
    method(10, 50, "connection.close", CLOSE),
    method(10, 51, "connection.close-ok", ""),
    method(10, 60, "connection.blocked", "text:reason"),
    method(10, 61, "connection.unblocked", ""),
    method(20, 10, "channel.open", ""),
    method(20, 11, "channel.open-ok", ""),
    method(20, 20, "channel.flow", "bit:active"),
    method(20, 21, "channel.flow-ok", "bit:active"),
    method(20, 40, "channel.close", CLOSE),
    method(20, 41, "channel.close-ok", ""),
    method(40, 10, "exchange.declare", "16 text:exchange text:type bit:passive bit:durable bit:auto-delete bit:internal bit:no-wait table"),
    method(40, 11, "exchange.declare-ok", ""),
    method(40, 20, "exchange.delete", "16 text:exchange bit:if-unused bit:no-wait"),
    method(40, 21, "exchange.delete-ok", ""),
    method(40, 30, "exchange.bind", "16 text:destination text:source text:routing-key bit:no-wait table"),
    method(40, 31, "exchange.bind-ok", ""),
    method(40, 40, "exchange.unbind", "16 text:destination text:source text:routing-key bit:no-wait table"),
    method(40, 51, "exchange.unbind-ok", ""),
    method(50, 10, "queue.declare", "16 text:queue bit:passive bit:durable bit:exclusive bit:auto-delete bit:no-wait table"),
    method(50, 11, "queue.declare-ok", "text:queue 32:message-count 32:consumer-count"),
    method(50, 20, "queue.bind", "16 text:queue text:exchange text:routing-key bit:no-wait table"),
    method(50, 21, "queue.bind-ok", ""),
    method(50, 30, "queue.purge", "16 text:queue bit:no-wait"),
    method(50, 31, "queue.purge-ok", "32:message-count"),
    method(50, 40, "queue.delete", "16 text:queue bit:if-unused bit:if-empty bit:no-wait"),
    method(50, 41, "queue.delete-ok", "32:message-count"),
    method(50, 50, "queue.unbind", "16 text:queue text:exchange text:routing-key table"),
    method(50, 51, "queue.unbind-ok", ""),
    method(60, 10, "basic.qos", "32 16:prefetch-count bit:global"),
    method(60, 11, "basic.qos-ok", ""),
    method(60, 20, "basic.consume", "16 text:queue text:consumer-tag bit:no-local bit:no-ack bit:exclusive bit:no-wait table"),
    method(60, 21, "basic.consume-ok", "text:consumer-tag"),
    method(60, 30, "basic.cancel", "text:consumer-tag bit:no-wait"),
    method(60, 31, "basic.cancel-ok", "text:consumer-tag"),
    content(60, 40, "basic.publish", "16 text:exchange text:routing-key bit:mandatory bit:immediate"),
    content(60, 50, "basic.return", "16:reply-code text:reply-text text:exchange text:routing-key"),
    content(60, 60, "basic.deliver", "text:consumer-tag 64:delivery-tag bit:redelivered text:exchange text:routing-key"),
    method(60, 70, "basic.get", "16 text:queue bit:no-ack"),
    content(60, 71, "basic.get-ok", "64:delivery-tag bit:redelivered text:exchange text:routing-key 32:message-count"),
    method(60, 72, "basic.get-empty", ""),
    method(60, 80, "basic.ack", "64:delivery-tag bit:multiple"),
    method(60, 90, "basic.reject", "64:delivery-tag bit:requeue"),
    method(60, 100, "basic.recover-async", "bit:requeue"),
    method(60, 110, "basic.recover", "bit:requeue"),
    method(60, 111, "basic.recover-ok", ""),
    method(60, 120, "basic.nack", "64:delivery-tag bit:multiple bit:requeue"),
    method(85, 10, "confirm.select", "bit:no-wait"),
    method(85, 11, "confirm.select-ok", ""),
    method(90, 10, "tx.select", ""),
    method(90, 11, "tx.select-ok", ""),
    method(90, 20, "tx.commit", ""),
    method(90, 21, "tx.commit-ok", ""),
    method(90, 30, "tx.rollback", ""),
    method(90, 31, "tx.rollback-ok", ""),
];

/// What a method frame on `channel` says, and whether a header and a body belong to it.
pub(super) fn read(channel: u16, payload: &[u8]) -> Option<(Request, bool)> {
    let mut at = payload;
    let (class, id) = (number(&mut at, 2)?, number(&mut at, 2)?);
    let known =
        METHODS.iter().find(|method| (method.class.into(), method.id.into()) == (class, id));
    let Some(method) = known else {
        let command = format!("method {class}.{id}");
        return Some((Request { command, arguments: vec![channel.to_string()], nth: 0 }, false));
    };
    let mut arguments = vec![channel.to_string()];
    // The octet that the bits share, and how many of them were read.
    let mut bits = (0, 8);
    for (kind, name) in fields(method) {
        if kind != "bit" {
            bits.1 = 8;
        }
        let value = match kind {
            "bit" => {
                if bits.1 == 8 {
                    bits = (number(&mut at, 1)?, 0);
                }
                bits.1 += 1;
                let is_set = bits.0 >> (bits.1 - 1) & 1 == 1;
                name.filter(|_| is_set).unwrap_or_default().to_owned()
            }
            "text" => {
                let length = usize::try_from(number(&mut at, 1)?).ok()?;
                String::from_utf8_lossy(at.split_off(..length)?).into_owned()
            }
            "table" => {
                let length = usize::try_from(number(&mut at, 4)?).ok()?;
                at.split_off(..length)?;
                continue;
            }
            bits => number(&mut at, bits.parse::<usize>().ok()? / 8)?.to_string(),
        };
        if name.is_some() {
            arguments.push(value);
        }
    }
    let request = Request { command: method.name.to_owned(), arguments, nth: 0 };
    Some((request, method.carries))
}

/// Where in a request's arguments the field of this name is.
pub(in crate::proxy) fn position(command: &str, field: &str) -> Option<usize> {
    let method = METHODS.iter().find(|method| method.name == command)?;
    let own = fields(method).filter_map(|(_, name)| name);
    let content = CONTENT.into_iter().filter(|_| method.carries);
    ["channel"].into_iter().chain(own).chain(content).position(|name| name == field)
}

/// The message id and the body's length, of a header frame.
pub(super) fn header(payload: &[u8]) -> Option<(String, usize)> {
    let mut at = payload;
    at.split_off(..4)?;
    let body = usize::try_from(number(&mut at, 8)?).ok()?;
    let flags = number(&mut at, 2)?;
    // The properties that are there, in this order, from the highest bit down.
    const PROPERTIES: [&str; 9] = [
        "content-type",
        "content-encoding",
        "headers",
        "delivery-mode",
        "priority",
        "correlation-id",
        "reply-to",
        "expiration",
        "message-id",
    ];
    let there = |bit: &usize| flags >> (15 - bit) & 1 == 1;
    for bit in (0..PROPERTIES.len()).filter(there) {
        let length = match PROPERTIES[bit] {
            "headers" => number(&mut at, 4)?,
            "delivery-mode" | "priority" => 1,
            _ => number(&mut at, 1)?,
        };
        let property = at.split_off(..usize::try_from(length).ok()?)?;
        if PROPERTIES[bit] == "message-id" {
            return Some((String::from_utf8_lossy(property).into_owned(), body));
        }
    }
    Some((String::new(), body))
}

/// Whether the broker answers `request` with a method of the same name and `-ok`.
pub(super) fn is_answered(request: &Request) -> bool {
    let mut replies = METHODS.iter().filter_map(|method| method.name.strip_suffix("-ok"));
    replies.any(|asked| asked == request.command) && !request.has("no-wait")
}

fn fields(method: &Method) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    method.fields.split(' ').filter(|field| !field.is_empty()).map(|field| {
        let (kind, name) = field.split_once(':').map_or((field, None), |(k, n)| (k, Some(n)));
        (kind, name)
    })
}

/// Takes an unsigned number of so many octets off the front.
fn number(at: &mut &[u8], octets: usize) -> Option<u64> {
    let taken = at.split_off(..octets)?;
    Some(taken.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
}
