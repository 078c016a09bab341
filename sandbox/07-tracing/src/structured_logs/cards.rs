//! Card numbers in a text.

use std::ops::Range;

const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// The shortest group in which cards are printed: American Express writes 4, 6 and 5.
const GROUP: usize = 3;

/// Adds the places of all card numbers.
///
/// Sixteen digits alone are an order number as well. The check digit (Luhn, ISO/IEC 7812-1) holds for
/// one in ten of those, and the first digit of all card schemes is 2 to 6: so timestamps, which begin
/// with 1, stay.
pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    if bytes.iter().filter(|byte| byte.is_ascii_digit()).count() < *DIGITS.start() {
        return;
    }
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        match end_of_card(text, at) {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            // The next group: "7 4111 1111 1111 1111" is one card, seven times.
            None => at += digits(&bytes[at..]),
        }
    }
}

/// The end of the card number that begins at `start`, if one does.
fn end_of_card(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if !matches!(bytes[start], b'2'..=b'6') || continues(&text[..start]) || is_in_uuid(bytes, start)
    {
        return None;
    }
    let (mut number, mut at, mut between, mut end) = (Vec::new(), start, None, None);
    loop {
        let group = digits(&bytes[at..]);
        if group < GROUP || number.len() + group > *DIGITS.end() {
            return end;
        }
        number.extend_from_slice(&bytes[at..at + group]);
        at += group;
        let ends = !text[at..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if ends && DIGITS.contains(&number.len()) && passes_luhn(&number) {
            end = Some(at);
        }
        match bytes.get(at) {
            Some(next @ (b' ' | b'-')) if between.is_none_or(|between| between == next) => {
                between = Some(next);
                at += 1;
            }
            _ => return end,
        }
    }
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// What comes is the rest of a word or of a number.
fn continues(before: &str) -> bool {
    let mut back = before.chars().rev();
    match back.next() {
        // Behind a comma comes the next of a row, or of a list.
        Some('.') => back.next().is_some_and(|c| c.is_ascii_digit()),
        Some(last) => last.is_alphanumeric() || last == '_',
        None => false,
    }
}

fn is_in_uuid(bytes: &[u8], at: usize) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    let from = at - bytes[..at].iter().rev().take_while(|byte| is_part(byte)).count();
    let word = &bytes[from..];
    let word = &word[..word.iter().take_while(|byte| is_part(byte)).count()];
    word.len() == 36 && [8, 13, 18, 23].iter().all(|hyphen| word[*hyphen] == b'-')
}

/// From the right, every second digit counts twice, and the digits of all that add up to tens.
fn passes_luhn(number: &[u8]) -> bool {
    let doubled = |nth: usize, digit: u32| match digit * if nth % 2 == 1 { 2 } else { 1 } {
        large if large > 9 => large - 9,
        small => small,
    };
    let digits = number.iter().rev().map(|digit| u32::from(digit - b'0')).enumerate();
    digits.map(|(nth, digit)| doubled(nth, digit)).sum::<u32>() % 10 == 0
}
