//! Report pages: a single self-contained HTML file, with styles for light and dark screens and for print.

use std::fmt::{Display, Write};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6470;--paper:#fff;--line:#d9dee4;--blue:#0072b2;--sky:#56b4e9}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#a3acb8;--paper:#15181c;--line:#343b44;--blue:#4f9be0;--sky:#c4e5f8}}
@media print{:root{--ink:#000;--soft:#444;--paper:#fff;--line:#bbb;--blue:#0072b2;--sky:#56b4e9}figure,table{break-inside:avoid}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:52rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.2rem;margin-top:2.2rem}
p.note,figcaption,caption{color:var(--soft);font-size:.9rem}caption{text-align:left;padding-bottom:.3rem}
p.lead{font-size:1.15rem;border-left:4px solid var(--blue);padding-left:.8rem}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);text-align:right;vertical-align:bottom}td{white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{font-weight:600}
figure{margin:1.2rem 0}svg{width:100%;height:auto}
svg [fill='#FFFFFF']{fill:var(--paper)}svg [fill='#000000']{fill:var(--ink)}
svg [stroke='#000000']{stroke:var(--ink)}svg [stroke='#0072B2']{stroke:var(--blue)}svg [stroke='#56B4E9']{stroke:var(--sky)}svg [fill='#0072B2']{fill:var(--blue)}
";

/// Builds a page from top to bottom. All text is escaped.
pub struct HtmlPage {
    html: String,
}

impl HtmlPage {
    /// Creates a page with a title.
    pub fn new(title: &str) -> Self {
        let title = escaped(title);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n<h1>{title}</h1>\n"
        );
        Self { html }
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        self.tag("h2", "", text);
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: impl Display) {
        self.tag("p", "", &text.to_string());
    }

    /// Adds a highlighted paragraph for a main result.
    pub fn lead(&mut self, text: impl Display) {
        self.tag("p", "lead", &text.to_string());
    }

    /// Adds a paragraph in small print, for a caveat.
    pub fn note(&mut self, text: impl Display) {
        self.tag("p", "note", &text.to_string());
    }

    /// Adds a chart; `words` is its caption and text alternative.
    pub fn chart(&mut self, svg: &str, words: &str) {
        let words = escaped(words);
        let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{words}\" "), 1);
        let _ = writeln!(self.html, "<figure>{svg}<figcaption>{words}</figcaption></figure>");
    }

    /// Adds a table.
    pub fn table(&mut self, caption: &str, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let row = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
            let cells: String = cells.map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let head = row("th", &mut head.iter().copied());
        let body: String =
            rows.into_iter().map(|cells| row("td", &mut cells.iter().map(String::as_str))).collect();
        let caption = escaped(caption);
        let _ = writeln!(
            self.html,
            "<div class=\"wide\"><table><caption>{caption}</caption>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody></table></div>"
        );
    }

    /// Returns the finished HTML.
    pub fn finish(self) -> String {
        self.html + "</html>\n"
    }

    fn tag(&mut self, tag: &str, class: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(self.html, "<{tag}{class}>{}</{tag}>", escaped(text));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_strangers_is_text_and_nothing_else() {
        let mut page = HtmlPage::new("a <b>");
        page.table("t", &["x"], [vec!["<script>alert(\"1\")</script> & more".to_owned()]]);
        let html = page.finish();
        assert!(html.contains("<title>a &lt;b&gt;</title>"));
        assert!(html.contains("<td>&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; more</td>"));
        assert!(!html.contains("http") && !html.contains("src="), "the page loads nothing");
    }
}
