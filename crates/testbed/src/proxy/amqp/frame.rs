//! Where a frame of AMQP ends, and which frames are one message.
//!
//! A frame is a type, a channel, a length, so many octets and an end mark. Whatever frame-max the
//! two sides have agreed on, each frame tells its length, so nothing of that is kept. A publish is
//! a method, a header and as many bodies as its length needs; frames of other channels may come in
//! between.
//!
//! Source: [AMQP 0-9-1](https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf), section 4.2.

use super::method;
use crate::proxy::rule::Request;
use std::collections::HashMap;
use std::io;

/// What one side says: a method with its content, or what is no method.
pub(super) struct Said {
    pub(super) bytes: Vec<u8>,
    pub(super) channel: u16,
    /// `None` for the protocol header and heartbeats.
    pub(super) request: Option<Request>,
}

/// Reads what one side says.
#[derive(Default)]
pub(super) struct Reader {
    /// Methods whose content has not come yet, by channel.
    begun: HashMap<u16, Begun>,
}

struct Begun {
    said: Said,
    body: Option<Body>,
}

struct Body {
    message_id: String,
    bytes: Vec<u8>,
    length: usize,
}

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const END: u8 = 0xCE;

impl Reader {
    /// Takes what is complete out of `buffer`, or `None` while nothing is. What is not complete may
    /// be kept here: then the rest comes out with it.
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Said>> {
        while let Some(frame) = frame(buffer)? {
            if let Some(said) = self.add(frame)? {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }

    fn add(&mut self, frame: Frame) -> io::Result<Option<Said>> {
        let Frame { kind, channel, bytes } = frame;
        let payload = || bytes.get(7..bytes.len() - 1).unwrap_or_default();
        match kind {
            METHOD => {
                let (request, carries) = method::read(channel, payload()).ok_or_else(not_amqp)?;
                let said = Said { bytes, channel, request: Some(request) };
                if !carries {
                    return Ok(Some(said));
                }
                self.begun.insert(channel, Begun { said, body: None });
                return Ok(None);
            }
            HEADER => {
                let begun = self.begun.get_mut(&channel).ok_or_else(not_amqp)?;
                let (message_id, length) = method::header(payload()).ok_or_else(not_amqp)?;
                begun.body = Some(Body { message_id, bytes: Vec::new(), length });
                begun.said.bytes.extend_from_slice(&bytes);
            }
            BODY => {
                let begun = self.begun.get_mut(&channel).ok_or_else(not_amqp)?;
                let body = begun.body.as_mut().ok_or_else(not_amqp)?;
                body.bytes.extend_from_slice(payload());
                begun.said.bytes.extend_from_slice(&bytes);
            }
            _ => return Ok(Some(Said { bytes, channel, request: None })),
        }
        let is_whole =
            |begun: &Begun| begun.body.as_ref().is_some_and(|b| b.bytes.len() >= b.length);
        if !self.begun.get(&channel).is_some_and(is_whole) {
            return Ok(None);
        }
        Ok(self.begun.remove(&channel).map(Begun::whole))
    }
}

impl Begun {
    fn whole(self) -> Said {
        let mut said = self.said;
        if let (Some(request), Some(body)) = (&mut said.request, self.body) {
            request.arguments.push(body.message_id);
            request.arguments.push(String::from_utf8_lossy(&body.bytes).into_owned());
        }
        said
    }
}

struct Frame {
    kind: u8,
    channel: u16,
    bytes: Vec<u8>,
}

fn frame(buffer: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    let [kind, channel_high, channel_low, length @ ..] = buffer.as_slice() else {
        return Ok(None);
    };
    let (kind, channel) = (*kind, u16::from_be_bytes([*channel_high, *channel_low]));
    let end = match kind {
        // The protocol header; a broker says it to a client whose version it does not speak.
        b'A' => 8,
        METHOD | HEADER | BODY | HEARTBEAT => {
            let Some(length) = length.first_chunk() else { return Ok(None) };
            let length = usize::try_from(u32::from_be_bytes(*length)).map_err(io::Error::other)?;
            let end = 7 + length + 1;
            if buffer.get(end - 1).is_some_and(|mark| *mark != END) {
                return Err(not_amqp());
            }
            end
        }
        _ => return Err(not_amqp()),
    };
    let whole = buffer.len() >= end;
    Ok(whole.then(|| Frame { kind, channel, bytes: buffer.drain(..end).collect() }))
}

/// The frame of a `connection.close` with the reply code 200 and no more.
pub(super) fn close() -> Vec<u8> {
    let method = [0, 10, 0, 50, 0, 200, 0, 0, 0, 0, 0];
    [&[METHOD, 0, 0, 0, 0, 0, 11], &method[..], &[END]].concat()
}

fn not_amqp() -> io::Error {
    io::Error::other("what is said here is not AMQP 0-9-1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame_of(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[kind], &channel.to_be_bytes()[..], &length, payload, &[END]].concat()
    }

    fn method_of(channel: u16, class: u16, id: u16, arguments: &[u8]) -> Vec<u8> {
        let payload = [&class.to_be_bytes(), &id.to_be_bytes(), arguments].concat();
        frame_of(METHOD, channel, &payload)
    }

    fn text(text: &str) -> Vec<u8> {
        [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    fn header_of(channel: u16, length: u64, flags: u16, properties: &[u8]) -> Vec<u8> {
        let payload =
            [&[0, 60, 0, 0], &length.to_be_bytes()[..], &flags.to_be_bytes(), properties].concat();
        frame_of(HEADER, channel, &payload)
    }

    /// The bytes of a message, and what they say.
    type Message = (Vec<u8>, Option<String>);

    /// What a client says, message by message, and how it is to be read: with two publishes, on
    /// channels 1 and 2, whose frames mingle.
    fn conversation() -> (Vec<u8>, Vec<Message>) {
        let publish = |channel, key| {
            method_of(channel, 60, 40, &[&[0, 0][..], &text("shop"), &text(key), &[1]].concat())
        };
        // Content type, a table of headers, delivery mode, message id.
        let properties =
            [text("text/plain"), vec![0, 0, 0, 5, 1, b'x', b't', 1, 0], vec![2], text("order-7")]
                .concat();
        let (header, other) =
            (header_of(1, 5, 0b1011_0000_1000_0000, &properties), header_of(2, 0, 0, &[]));
        let bodies = [frame_of(BODY, 1, b"or"), frame_of(BODY, 1, b"der")];
        let declare = [&[0, 0][..], &text("orders"), &[0b0_0010], &[0, 0, 0, 0]].concat();
        let ack = [&9_u64.to_be_bytes()[..], &[1]].concat();

        let messages = vec![
            (b"AMQP\0\0\x09\x01".to_vec(), None),
            (method_of(3, 50, 10, &declare), Some("queue.declare 3|orders||durable|||")),
            (frame_of(HEARTBEAT, 0, b""), None),
            (
                [publish(2, "empty"), other.clone()].concat(),
                Some("basic.publish 2|shop|empty|mandatory|||"),
            ),
            (
                [publish(1, "created"), header.clone(), bodies.concat()].concat(),
                Some("basic.publish 1|shop|created|mandatory||order-7|order"),
            ),
            (method_of(1, 60, 80, &ack), Some("basic.ack 1|9|multiple")),
            (method_of(1, 99, 7, &[]), Some("method 99.7 1")),
        ];
        let wire = [
            messages[0].0.clone(),
            publish(1, "created"),
            messages[1].0.clone(),
            header,
            publish(2, "empty"),
            bodies[0].clone(),
            messages[2].0.clone(),
            other,
            bodies[1].clone(),
            messages[5].0.clone(),
            messages[6].0.clone(),
        ]
        .concat();
        let owned = |(bytes, words): (Vec<u8>, Option<&str>)| (bytes, words.map(str::to_owned));
        (wire, messages.into_iter().map(owned).collect())
    }

    fn read(pieces: &[&[u8]]) -> io::Result<Vec<Message>> {
        let (mut reader, mut buffer, mut read) = (Reader::default(), Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(Said { bytes, request, .. }) = reader.take(&mut buffer)? {
                let words = |it: Request| format!("{} {}", it.command, it.arguments.join("|"));
                read.push((bytes, request.map(words)));
            }
        }
        Ok(read)
    }

    #[test]
    fn a_publish_is_one_message_whatever_comes_in_between() {
        let (wire, messages) = conversation();
        assert_eq!(read(&[&wire]).unwrap(), messages);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_split(
            splits in proptest::collection::vec(any::<proptest::sample::Index>(), 0..40)
        ) {
            let (wire, messages) = conversation();
            let mut ends: Vec<usize> = splits.iter().map(|at| at.index(wire.len())).collect();
            ends.extend([0, wire.len()]);
            ends.sort_unstable();
            let pieces: Vec<&[u8]> = ends.windows(2).map(|ends| &wire[ends[0]..ends[1]]).collect();
            prop_assert_eq!(read(&pieces).unwrap(), messages);
        }

        #[test]
        fn what_is_not_amqp_is_refused_and_harms_nobody(
            at in any::<proptest::sample::Index>(),
            octet: u8,
            rest in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let (mut wire, _) = conversation();
            let at = at.index(wire.len());
            wire[at] = octet;
            wire.extend(rest);
            // It is read, or it is an error; it is no panic, and nothing is read twice.
            if let Ok(read) = read(&[&wire]) {
                prop_assert!(read.iter().map(|(bytes, _)| bytes.len()).sum::<usize>() <= wire.len());
            }
        }
    }

    #[test]
    fn a_frame_without_its_end_mark_is_refused() {
        let mut ack = frame_of(HEARTBEAT, 0, b"");
        *ack.last_mut().unwrap() = 0;
        assert!(read(&[&ack]).is_err());
        assert!(read(&[b"GET / HTTP/1.1"]).is_err());
        assert!(read(&[&frame_of(BODY, 1, b"no publish before it")]).is_err());
    }
}
