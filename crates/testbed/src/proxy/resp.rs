//! Where a frame of the Redis protocol ends.
//!
//! The proxy forwards bytes as they came. It reads just enough of RESP2 and RESP3 to know one
//! frame from the next and a request's name and arguments.
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use super::rule::Request;
use super::wire::{Answer, Asked, Client, Place, Server, Wire};
use std::io;

/// A connection to Redis. Every frame of the client is a request, and every frame of the server
/// that is not pushed is a reply.
pub(super) struct Resp;

impl Wire for Resp {
    type Client = Resp;
    type Server = Resp;

    fn fresh() -> (Resp, Resp) {
        (Resp, Resp)
    }
}

impl Client for Resp {
    fn request(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Asked>> {
        let Some(length) = frame_length(buffer).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let bytes: Vec<u8> = buffer.drain(..length).collect();
        let mut words =
            words(&bytes).into_iter().map(|word| String::from_utf8_lossy(&word).into_owned());
        let command = words.next().unwrap_or_default().to_uppercase();
        // Connections introduce themselves with these.
        let silent = matches!(command.as_str(), "HELLO" | "AUTH" | "CLIENT" | "SELECT");
        let request = Some(Request { command, arguments: words.collect(), nth: 0 });
        Ok(Some(Asked { bytes, request, silent }))
    }
}

impl Server for Resp {
    fn frame(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Answer>> {
        let Some(length) = frame_length(buffer).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let bytes: Vec<u8> = buffer.drain(..length).collect();
        let place = match is_push(&bytes) {
            true => Place::Aside,
            false => Place::End(summary(&bytes)),
        };
        Ok(Some(Answer { bytes, place }))
    }
}

/// The bytes are not RESP. The proxy then closes the connection, as a server would.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not RESP at byte {at}: {found:?}")]
struct NotResp {
    at: usize,
    found: char,
}

/// The length in bytes of the first frame of `buffer`, or `None` while it is incomplete.
fn frame_length(buffer: &[u8]) -> Result<Option<usize>, NotResp> {
    end_of_frame(buffer, 0)
}

fn end_of_frame(buffer: &[u8], start: usize) -> Result<Option<usize>, NotResp> {
    let Some((line, mut end)) = line_at(buffer, start) else {
        return Ok(None);
    };
    let not_resp = || NotResp { at: start, found: line.first().map_or('\r', |byte| *byte as char) };
    let (kind, rest) = line.split_first().ok_or_else(not_resp)?;
    let children = match kind {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => return Ok(Some(end)),
        b'$' | b'=' | b'!' => {
            let length = number(rest).ok_or_else(not_resp)?;
            // A length of -1 is RESP2's nil: no body and no second line end.
            let body = usize::try_from(length).map_or(0, |length| length + 2);
            return Ok((buffer.len() >= end + body).then_some(end + body));
        }
        b'*' | b'~' | b'>' => number(rest).ok_or_else(not_resp)?.max(0),
        b'%' => number(rest).ok_or_else(not_resp)? * 2,
        // An attribute stands before the frame that it describes.
        b'|' => number(rest).ok_or_else(not_resp)? * 2 + 1,
        _ => return Err(not_resp()),
    };
    for _ in 0..children {
        match end_of_frame(buffer, end)? {
            Some(next) => end = next,
            None => return Ok(None),
        }
    }
    Ok(Some(end))
}

/// A request is an array of bulk strings; anything else has no words.
fn words(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let Some((_, mut at)) = line_at(frame, 0) else {
        return words;
    };
    while let Some((line, body)) = line_at(frame, at) {
        let Some(length) = line.strip_prefix(b"$").and_then(number) else {
            break;
        };
        let end = body + usize::try_from(length).unwrap_or(0);
        words.push(frame.get(body..end).unwrap_or_default().to_vec());
        at = end + 2;
    }
    words
}

/// RESP3 pushes are not replies: the server sends them when it likes.
fn is_push(frame: &[u8]) -> bool {
    frame.first() == Some(&b'>')
}

/// What a person would want to see of a reply, in one word or two.
fn summary(frame: &[u8]) -> String {
    let Some((line, body)) = line_at(frame, 0) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&line[1..]).into_owned();
    match line[0] {
        b'$' if text == "-1" => "nil".to_owned(),
        b'_' => "nil".to_owned(),
        b'*' if text == "-1" => "nil".to_owned(),
        b'$' | b'=' => {
            let end = body + number(text.as_bytes()).map_or(0, |length| length.max(0) as usize);
            String::from_utf8_lossy(frame.get(body..end).unwrap_or_default()).into_owned()
        }
        b'*' | b'~' | b'%' => format!("{text} items"),
        b'-' => format!("error {text}"),
        _ => text,
    }
}

fn line_at(buffer: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let rest = buffer.get(start..)?;
    let length = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&rest[..length], start + length + 2))
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_frame_ends_where_it_ends() {
        let frames: [&[u8]; 12] = [
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":7\r\n",
            b"_\r\n",
            b"#t\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"$5\r\na\r\nbc\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n+key\r\n~2\r\n:1\r\n:2\r\n",
            b">2\r\n+invalidate\r\n*-1\r\n",
            b"|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
        ];
        for frame in frames {
            for cut in 0..frame.len() {
                assert_eq!(frame_length(&frame[..cut]), Ok(None), "{}", frame.escape_ascii());
            }
            let mut followed = frame.to_vec();
            followed.extend_from_slice(b"+next\r\n");
            assert_eq!(frame_length(&followed), Ok(Some(frame.len())), "{}", frame.escape_ascii());
        }
    }

    #[test]
    fn bytes_that_are_not_resp_are_refused() {
        assert_eq!(frame_length(b"GET /\r\n"), Err(NotResp { at: 0, found: 'G' }));
    }

    #[test]
    fn a_request_has_words_and_a_reply_a_summary() {
        assert_eq!(
            words(b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n"),
            [b"GET".to_vec(), b"a\r\nb".to_vec()]
        );
        assert_eq!(summary(b"$-1\r\n"), "nil");
        assert_eq!(summary(b"_\r\n"), "nil");
        assert_eq!(summary(b"$2\r\nhi\r\n"), "hi");
        assert_eq!(summary(b"-NOSCRIPT none\r\n"), "error NOSCRIPT none");
        assert_eq!(summary(b":1\r\n"), "1");
    }
}
