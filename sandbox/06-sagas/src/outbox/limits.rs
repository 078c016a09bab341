//! What AMQP can carry. What it cannot is refused while its transaction can still be undone: once
//! committed, it would be published, close the channel, and be published again, for ever.

use super::Error;
use messaging::Message;

/// AMQP's short strings: key, ids, media type, and the names of headers.
const SHORT: usize = 255;
/// All properties have to fit into one frame, of 128 KiB where nobody has set another size.
const HEADERS: usize = 64 * 1024;
/// What RabbitMQ 4 takes; RabbitMQ 3 takes more.
const BODY: usize = 16 * 1024 * 1024;

/// Whether a broker could take the message.
///
/// # Errors
/// [`Error::Unsendable`].
pub fn sendable(message: &Message) -> Result<(), Error> {
    let Message { id, key, correlation, content_type, headers, body } = message;
    let texts = [Some(id), Some(key), correlation.as_ref(), content_type.as_ref()];
    let shorts = || texts.into_iter().flatten().chain(headers.keys());
    if let Some(long) = shorts().find(|text| text.len() > SHORT) {
        let begin: String = long.chars().take(20).collect();
        return no(format!("`{begin}…` has {} bytes, and at most {SHORT} travel", long.len()));
    }
    // PostgreSQL's text has no place for it either.
    if shorts().chain(headers.values()).any(|text| text.contains('\0')) {
        return no("a text with a zero byte in it".to_owned());
    }
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers > HEADERS {
        return no(format!("headers of {headers} bytes, and at most {HEADERS} travel"));
    }
    if body.len() > BODY {
        return no(format!("a body of {} bytes, and at most {BODY} travel", body.len()));
    }
    Ok(())
}

fn no(why: String) -> Result<(), Error> {
    Err(Error::Unsendable(why))
}
