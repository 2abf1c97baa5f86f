//! What is in the file: words that depend only on their position.

/// Fills `buf` with the bytes of the file from `offset` on; both are multiples of 8.
pub fn fill(buf: &mut [u8], offset: u64) {
    debug_assert!(offset.is_multiple_of(8) && buf.len().is_multiple_of(8));
    for (index, word) in (offset / 8..).zip(buf.as_chunks_mut::<8>().0) {
        *word = word_at(index).to_le_bytes();
    }
}

/// The first byte of `buf`, read at `offset`, that is not as [`fill`] makes it: its place in the file.
pub fn first_difference(buf: &[u8], offset: u64) -> Option<u64> {
    let words = (offset / 8..).zip(buf.as_chunks::<8>().0);
    let (index, word) = words.map(|(i, w)| (i, *w)).find(|(i, w)| *w != word_at(*i).to_le_bytes())?;
    let right = word_at(index).to_le_bytes();
    let byte = (0..8).find(|b| word[*b] != right[*b])?;
    Some(index * 8 + byte as u64)
}

/// Mixes the index so that neighbours have nothing in common: two rounds of multiply and fold.
fn word_at(index: u64) -> u64 {
    let mixed = (index + 1).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_is_found_where_it_is() {
        let mut buf = [0; 64];
        fill(&mut buf, 4096);
        assert_eq!(first_difference(&buf, 4096), None);
        buf[13] ^= 1;
        assert_eq!(first_difference(&buf, 4096), Some(4096 + 13));
    }

    #[test]
    fn pieces_make_up_the_whole() {
        let (mut whole, mut half) = ([0; 128], [0; 64]);
        fill(&mut whole, 0);
        fill(&mut half, 64);
        assert_eq!(whole[64..], half);
    }
}
