//! What a statement is on PostgreSQL's wire, and where its answer ends.
//!
//! A client sends either one Query, or some of Parse, Bind, Describe and Execute, and then a Sync:
//! what it sends until it waits. That is one request here, to be held or cut as one. Its answer is
//! all that the server says until ReadyForQuery.
//!
//! Not understood, as no client of this house uses it: TLS, COPY, and Flush in place of Sync, whose
//! statements pass unseen.
//!
//! Source: PostgreSQL's manual, [Frontend/Backend
//! Protocol](https://www.postgresql.org/docs/15/protocol.html).

use super::rule::Request;
use super::wire::{self, Answer, Asked, Place, Wire};
use std::collections::HashMap;
use std::io;

/// A connection to PostgreSQL.
pub(super) struct Pgwire;

impl Wire for Pgwire {
    type Client = Client;
    type Server = Server;

    fn fresh() -> (Client, Server) {
        (Client::default(), Server::default())
    }
}

/// What the client has said so far.
#[derive(Default)]
pub(super) struct Client {
    began: bool,
    /// The texts of prepared statements by name, and of bound ones by the name of their portal.
    statements: HashMap<String, String>,
    portals: HashMap<String, Vec<String>>,
    /// The frames of a request that is not complete.
    bytes: Vec<u8>,
    asked: Words,
}

/// What the frames since the last Sync ask.
#[derive(Default)]
enum Words {
    /// To forget a statement, or nothing.
    #[default]
    Nothing,
    Prepare(String),
    /// The text and the parameters.
    Execute(Vec<String>),
}

impl wire::Client for Client {
    fn request(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Asked>> {
        if !self.began {
            // The first message has no letter before its length.
            let Some(bytes) = take(buffer, 0)? else { return Ok(None) };
            const TLS_OR_GSS: [i32; 2] = [80_877_103, 80_877_104];
            if TLS_OR_GSS.contains(&i32_at(&bytes, 4)) {
                return Err(io::Error::other("the proxy must read what passes: sslmode=disable"));
            }
            self.began = true;
            return Ok(Some(Asked { bytes, request: None, silent: true }));
        }
        while let Some(frame) = take(buffer, 1)? {
            let (kind, body) = (frame[0], &frame[5..]);
            let text = |part: usize| string(body, part);
            match kind {
                b'P' => {
                    self.asked = Words::Prepare(text(1));
                    self.statements.insert(text(0), text(1));
                }
                b'B' => {
                    let statement = self.statements.get(&text(1)).cloned().unwrap_or_default();
                    let mut words = vec![statement];
                    words.extend(parameters(body).unwrap_or_default());
                    self.portals.insert(text(0), words);
                }
                b'E' => {
                    let words = self.portals.get(&text(0)).cloned().unwrap_or_default();
                    self.asked = Words::Execute(words);
                }
                b'Q' => self.asked = Words::Execute(vec![text(0)]),
                _ => {}
            }
            self.bytes.extend_from_slice(&frame);
            match kind {
                b'Q' | b'S' | b'F' => {
                    let asked = std::mem::take(&mut self.asked);
                    let silent = matches!(asked, Words::Nothing);
                    let request = Some(asked.request());
                    let bytes = std::mem::take(&mut self.bytes);
                    return Ok(Some(Asked { bytes, request, silent }));
                }
                b'P' | b'B' | b'D' | b'E' | b'C' => {}
                // A password, the data of a COPY, a Flush, the farewell.
                _ => {
                    let bytes = std::mem::take(&mut self.bytes);
                    return Ok(Some(Asked { bytes, request: None, silent: true }));
                }
            }
        }
        Ok(None)
    }
}

impl Words {
    fn request(self) -> Request {
        let (command, text, parameters) = match self {
            Words::Nothing => return Request { command: String::new(), arguments: vec![], nth: 0 },
            Words::Prepare(text) => (Some("PREPARE"), text, Vec::new()),
            Words::Execute(mut words) => {
                let parameters = words.split_off(words.len().min(1));
                (None, words.pop().unwrap_or_default(), parameters)
            }
        };
        // One line, however the program has broken it.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (command, text) = match command {
            Some(command) => (command, text.as_str()),
            None => text.split_once(' ').unwrap_or((&text, "")),
        };
        let texts = (!text.is_empty()).then(|| text.to_owned());
        let command = command.trim_end_matches(';').to_uppercase();
        Request { command, arguments: texts.into_iter().chain(parameters).collect(), nth: 0 }
    }
}

/// What the server has said of the answer that is under way.
#[derive(Default)]
pub(super) struct Server {
    said: String,
}

impl wire::Server for Server {
    fn frame(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Answer>> {
        let Some(bytes) = take(buffer, 1)? else { return Ok(None) };
        let body = &bytes[5..];
        let place = match bytes[0] {
            // Notices, settings, notifications.
            b'N' | b'S' | b'A' => Place::Aside,
            b'Z' => Place::End(match std::mem::take(&mut self.said) {
                // What is only prepared is answered with descriptions.
                nothing if nothing.is_empty() => "OK".to_owned(),
                said => said,
            }),
            b'D' => {
                // Most answers here are one row, and its values tell more than their number.
                if self.said.is_empty() {
                    let values = values(body.get(2..).unwrap_or_default(), i16_at(body, 0));
                    self.said = values.unwrap_or_default().join(", ");
                }
                Place::Within
            }
            b'C' => {
                let tag = string(body, 0);
                if self.said.is_empty() {
                    self.said = tag;
                }
                Place::Within
            }
            b'E' => {
                let field = |letter| {
                    fields(body).find_map(|field| field.strip_prefix(letter).map(str::to_owned))
                };
                self.said = format!("error {}", field('M').unwrap_or_default());
                Place::Within
            }
            _ => Place::Within,
        };
        Ok(Some(Answer { bytes, place }))
    }
}

/// Takes a message out of `buffer`: `before` bytes, a length that counts itself, and the rest.
fn take(buffer: &mut Vec<u8>, before: usize) -> io::Result<Option<Vec<u8>>> {
    if buffer.len() < before + 4 {
        return Ok(None);
    }
    let length = usize::try_from(i32_at(buffer, before)).unwrap_or(0);
    if length < 4 {
        return Err(io::Error::other("what is said here is not PostgreSQL's protocol"));
    }
    let end = before + length;
    Ok((buffer.len() >= end).then(|| buffer.drain(..end).collect()))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, i32::from_be_bytes)
}

fn i16_at(bytes: &[u8], at: usize) -> usize {
    let number =
        bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, i16::from_be_bytes);
    usize::try_from(number).unwrap_or(0)
}

/// The strings of a body, each of which ends with a zero.
fn fields(body: &[u8]) -> impl Iterator<Item = String> + '_ {
    body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned())
}

fn string(body: &[u8], nth: usize) -> String {
    fields(body).nth(nth).unwrap_or_default()
}

/// The parameters of a Bind: after two names, the formats and then the values.
fn parameters(body: &[u8]) -> Option<Vec<String>> {
    let mut rest = body;
    for _ in 0..2 {
        let name = rest.iter().position(|byte| *byte == 0)?;
        rest = &rest[name + 1..];
    }
    rest = rest.get(2 + 2 * i16_at(rest, 0)..)?;
    values(rest.get(2..)?, i16_at(rest, 0))
}

/// So many values, each after its length.
fn values(mut rest: &[u8], count: usize) -> Option<Vec<String>> {
    let mut values = Vec::new();
    for _ in 0..count {
        let length = rest.first_chunk().map(|four| i32::from_be_bytes(*four))?;
        rest = &rest[4..];
        match usize::try_from(length) {
            Ok(length) => {
                let (value, after) = rest.split_at_checked(length)?;
                rest = after;
                values.push(shown(value));
            }
            Err(_) => values.push("NULL".to_owned()),
        }
    }
    Some(values)
}

/// A value as a person would write it. Of one in binary form, the type is not on the wire: what is
/// no text and as long as a number is one.
fn shown(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.chars().any(char::is_control) => return text.to_owned(),
        _ => {}
    }
    match *value {
        [a, b, c, d] => i32::from_be_bytes([a, b, c, d]).to_string(),
        [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]).to_string(),
        _ => format!("{} bytes", value.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::wire::{Client as _, Server as _};
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![kind];
        message.extend((body.len() as i32 + 4).to_be_bytes());
        message.extend(body);
        message
    }

    fn begun() -> Client {
        Client { began: true, ..Client::default() }
    }

    fn asked(client: &mut Client, bytes: &[u8]) -> Option<Asked> {
        client.request(&mut bytes.to_vec()).unwrap()
    }

    fn words(asked: &Asked) -> String {
        let request = asked.request.as_ref().unwrap();
        format!("{} {}", request.command, request.arguments.join(" | "))
    }

    #[test]
    fn a_prepared_statement_is_known_by_its_text_when_it_is_executed() {
        let mut client = begun();
        let prepare = [
            message(b'P', b"s0\0UPDATE stock\n  SET units = $1\0\0\0"),
            message(b'D', b"Ss0\0"),
            message(b'S', b""),
        ]
        .concat();
        let prepared = asked(&mut client, &prepare).unwrap();
        assert_eq!(words(&prepared), "PREPARE UPDATE stock SET units = $1");
        assert_eq!(prepared.bytes, prepare);

        let mut bind = b"\0s0\0\0\x01\0\x01\0\x03\0\0\0\x08".to_vec();
        bind.extend(99_i64.to_be_bytes());
        bind.extend(b"\0\0\0\x06shelf1\xff\xff\xff\xff\0\0");
        let frames =
            [message(b'B', &bind), message(b'E', b"\0\0\0\0\0"), message(b'S', b"")].concat();
        for end in 0..frames.len() {
            assert!(asked(&mut begun(), &frames[..end]).is_none(), "cut at {end}");
        }
        let executed = asked(&mut client, &frames).unwrap();
        assert_eq!(words(&executed), "UPDATE stock SET units = $1 | 99 | shelf1 | NULL");
        assert!(!executed.silent);
    }

    #[test]
    fn a_query_is_a_request_and_what_has_no_statement_is_silent() {
        let mut client = begun();
        assert_eq!(words(&asked(&mut client, &message(b'Q', b"COMMIT;\0")).unwrap()), "COMMIT ");
        let close = [message(b'C', b"Ss0\0"), message(b'S', b"")].concat();
        assert!(asked(&mut client, &close).unwrap().silent);
        assert!(asked(&mut client, &message(b'X', b"")).unwrap().request.is_none());
    }

    #[test]
    fn the_first_message_has_no_letter_and_must_not_ask_for_tls() {
        let startup = [&12_i32.to_be_bytes()[..], &196_608_i32.to_be_bytes(), b"u\0\0\0"].concat();
        let asked = Client::default().request(&mut startup.clone()).unwrap().unwrap();
        assert_eq!((asked.bytes, asked.request.is_none()), (startup, true));
        let tls = [&8_i32.to_be_bytes()[..], &80_877_103_i32.to_be_bytes()].concat();
        assert!(Client::default().request(&mut tls.clone()).is_err());
    }

    #[test]
    fn an_answer_ends_when_the_server_is_ready_again() {
        let mut server = Server::default();
        let mut said = |bytes: Vec<u8>| match server.frame(&mut bytes.clone()).unwrap() {
            Some(Answer { place: Place::End(said), .. }) => said,
            Some(Answer { place: Place::Aside, .. }) => "aside".to_owned(),
            _ => "within".to_owned(),
        };
        assert_eq!(said(message(b'N', b"SNOTICE\0\0")), "aside");
        assert_eq!(said(message(b'C', b"UPDATE 1\0")), "within");
        assert_eq!(said(message(b'Z', b"I")), "UPDATE 1");
        assert_eq!(said(message(b'D', b"\0\x01\0\0\0\x027\x37")), "within");
        assert_eq!(said(message(b'C', b"SELECT 1\0")), "within");
        assert_eq!(said(message(b'Z', b"I")), "77");
        assert_eq!(said(message(b'E', b"SERROR\0Mno such table\0\0")), "within");
        assert_eq!(said(message(b'Z', b"E")), "error no such table");
    }
}
