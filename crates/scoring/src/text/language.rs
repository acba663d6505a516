//! Language detection for posts of which the text model knows few words.

use whichlang::{Lang, detect_language};

/// Minimum number of letters for a detection.
const MIN_LETTERS: usize = 12;

/// Returns the ISO 639-1 code of a text's language. `None` if the text is in English or too short.
#[must_use]
pub fn detect_foreign(text: &str) -> Option<&'static str> {
    if letters(text) < MIN_LETTERS {
        return None;
    }
    match detect_language(text) {
        Lang::Eng => None,
        Lang::Ara => Some("ar"),
        Lang::Cmn => Some("zh"),
        Lang::Deu => Some("de"),
        Lang::Fra => Some("fr"),
        Lang::Hin => Some("hi"),
        Lang::Ita => Some("it"),
        Lang::Jpn => Some("ja"),
        Lang::Kor => Some("ko"),
        Lang::Nld => Some("nl"),
        Lang::Por => Some("pt"),
        Lang::Rus => Some("ru"),
        Lang::Spa => Some("es"),
        Lang::Swe => Some("sv"),
        Lang::Tur => Some("tr"),
        Lang::Vie => Some("vi"),
    }
}

/// Returns the number of letters, in bytes: letters of three bytes carry more information each.
#[must_use]
pub fn letters(text: &str) -> usize {
    text.bytes().filter(|b| b.is_ascii_alphabetic() || *b >= 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::detect_foreign;

    #[test]
    fn languages_are_distinguished() {
        assert_eq!(detect_foreign("completamente inaceptable, nunca contestan el teléfono"), Some("es"));
        assert_eq!(detect_foreign("seit zwei Stunden in der Warteschleife, unfassbar"), Some("de"));
        assert_eq!(detect_foreign("電話がつながらない、もう二時間です"), Some("ja"));
        assert_eq!(detect_foreign("two hours on hold and then they hang up on me"), None);
        assert_eq!(detect_foreign("grr"), None);
    }
}
