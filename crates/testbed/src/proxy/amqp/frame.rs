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

fn not_amqp() -> io::Error {
    io::Error::other("what is said here is not AMQP 0-9-1")
}
