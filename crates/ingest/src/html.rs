//! Converts HTML to text for platforms that send markup.
//!
//! Platforms use a small, well-formed subset of HTML: paragraphs and breaks become line ends, other tags are
//! removed, and entities are decoded.

use std::borrow::Cow;

const QUOTE_LINE: &str = "<p class=\"quote-inline\">";

/// Decodes entities only, for platforms that escape a text without markup.
pub(crate) fn unescaped(text: &str) -> Cow<'_, str> {
    html_escape::decode_html_entities(text)
}

/// Joins the texts that are not blank, with a blank line between them.
pub(crate) fn paragraphs(texts: impl IntoIterator<Item = String>) -> String {
    let mut all = String::new();
    for text in texts {
        let text = text.trim();
        if !text.is_empty() {
            all.push_str(if all.is_empty() { "" } else { "\n\n" });
            all.push_str(text);
        }
    }
    all
}

/// Returns the words below their title, unless they begin with it.
pub(crate) fn with_title(title: Option<String>, words: String) -> String {
    let title = title.filter(|title| !words.trim_start().starts_with(title.trim()));
    paragraphs(title.into_iter().chain([words]))
}

/// Returns the text of an HTML fragment. The line that Mastodon puts before a quote, for programs that do not
/// show quotes, is no part of it.
pub(crate) fn text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest =
        html.strip_prefix(QUOTE_LINE).and_then(|line| line.split_once("</p>")).map_or(html, |line| line.1);
    while let Some(open) = rest.find('<') {
        let (before, tag) = rest.split_at(open);
        text.push_str(before);
        let Some(close) = tag.find('>') else {
            // An unclosed `<` is text.
            text.push_str(tag);
            rest = "";
            break;
        };
        let (tag, after) = tag.split_at(close + 1);
        let name = tag.trim_matches(['<', '>', '/', ' ']).split([' ', '/', '\n']).next().unwrap_or_default();
        if name == "img" {
            text.push_str(attribute(tag, "alt").unwrap_or_default());
        }
        let after = match name {
            "script" | "style" if !tag.starts_with("</") => {
                after.find(&format!("</{name}")).and_then(|end| after.get(end..)).unwrap_or_default()
            }
            _ => after,
        };
        let ends_line = match name {
            "br" => "\n",
            "p" | "div" | "blockquote" if tag.starts_with("</") => "\n\n",
            "li" | "tr" | "h1" | "h2" | "h3" if tag.starts_with("</") => "\n",
            _ => "",
        };
        text.push_str(ends_line);
        rest = after;
    }
    text.push_str(rest);
    unescaped(text.trim()).replace('\u{a0}', " ")
}

/// Returns the value of an attribute in quotes.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = tag.split_once(&format!(" {name}="))?;
    let quote = rest.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    rest.get(1..)?.split(quote).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_lines_stay() {
        let check = |html: &str, expected: &str| assert_eq!(text(html), expected, "{html}");
        check("<p>My claim &amp; <b>your</b> wait</p><p>Two</p>", "My claim & your wait\n\nTwo");
        check("one<br>two<br />three", "one\ntwo\nthree");
        check(
            r#"<a href="https://b.example/@care" class="mention">@<span>care</span></a> help"#,
            "@care help",
        );
        check("I &lt;3 hold music", "I <3 hold music");
        check("5 < 6", "5 < 6");
        check(
            "<style>p{}</style>one <img src='x' alt=\"a bill\"/><script>x < y</script> two",
            "one a bill two",
        );
        check("<script>x", "");
        check("", "");
        check("<", "<");
    }
}
