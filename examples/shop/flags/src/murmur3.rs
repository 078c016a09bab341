//! MurmurHash3, the 32-bit variant for x86, seed 0: what flagd hashes with.
//!
//! Austin Appleby's, in the public domain
//! (<https://github.com/aappleby/smhasher/wiki/MurmurHash3>). Thirty lines are less than a crate.

pub(crate) fn murmur3_32(bytes: &[u8]) -> u32 {
    let mut hash = 0_u32;
    let mut blocks = bytes.chunks_exact(4);
    for block in &mut blocks {
        hash ^= scramble(u32::from_le_bytes([block[0], block[1], block[2], block[3]]));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xE654_6B64);
    }
    let tail = blocks.remainder().iter().rev().fold(0, |tail, &byte| tail << 8 | u32::from(byte));
    hash ^= scramble(tail);
    // The reference counts the length in 32 bits as well.
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ hash >> 13).wrapping_mul(0xC2B2_AE35);
    hash ^ hash >> 16
}

fn scramble(block: u32) -> u32 {
    block.wrapping_mul(0xCC9E_2D51).rotate_left(15).wrapping_mul(0x1B87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_reference() {
        // Answers of the reference implementation, one for each length of the tail and more.
        let table = [
            ("", 0),
            ("a", 0x3C25_69B2),
            ("ab", 0x9BBF_D75F),
            ("abc", 0xB3DD_93FA),
            ("abcd", 0x43ED_676A),
            ("hello", 0x248B_FA47),
            ("The quick brown fox jumps over the lazy dog", 0x2E4F_F723),
        ];
        for (text, hash) in table {
            assert_eq!(murmur3_32(text.as_bytes()), hash, "{text:?}");
        }
    }
}
