//! Text as a part of a URL.

/// A text with every byte encoded but RFC 3986's unreserved ones and these.
pub fn percent_encoded(text: &str, keep: &[u8]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b) || keep.contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
