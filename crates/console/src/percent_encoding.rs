//! Percent-encoding of text for URLs.

/// Percent-encodes every byte of `text` except RFC 3986's unreserved characters and the bytes in `keep`.
pub fn percent_encoded(text: &str, keep: &[u8]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b) || keep.contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
