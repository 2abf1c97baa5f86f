//! Sizes as people write them.

/// "256M" to bytes; K, M and G are powers of 1024.
pub fn parse(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| "write it like 4096, 64K, 256M or 1G".to_string())?;
    number.checked_mul(factor).filter(|bytes| *bytes <= 1 << 50).ok_or_else(|| "too large".to_string())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("64K"), Ok(64 << 10));
        assert_eq!(parse("256m"), Ok(256 << 20));
        assert_eq!(parse("1G"), Ok(1 << 30));
        for bad in ["", "M", "-1", "1.5M", "12X", "99999999999G"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
