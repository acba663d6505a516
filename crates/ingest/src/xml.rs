//! Reads XML feeds as JSON, in the form in which Apple writes its feeds as JSON, so that one decoder reads both.
//!
//! An element is an object with its text as `label`, its `attributes` and an entry for each child; elements of one
//! name are a list. Names of Atom and RSS have no prefix, those of the namespaces that feeds share have the
//! customary one, and all others are left out.

use std::borrow::Cow;

use encoding_rs::Encoding;
use firewatch_domain::RejectionCode as Code;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;
use serde_json::{Map, Value};

use crate::{Rejection, Result};

/// Maximum depth of elements. Feeds have about six.
const MAX_DEPTH: usize = 64;
/// Maximum number of elements and attributes, of which each takes far more memory than its bytes. A feed of a thousand
/// entries has about 20,000.
const MAX_NODES: usize = 200_000;
/// Number of bytes in which an XML declaration names the encoding.
const DECLARATION_BYTES: usize = 200;
/// Namespaces that are read, with the prefix of their names.
const NAMESPACES: [(&str, &str); 20] = [
    ("http://backend.userland.com/rss2", ""),
    ("http://blogs.law.harvard.edu/tech/rss", ""),
    ("http://cyber.law.harvard.edu/rss", ""),
    ("http://purl.org/atompub/tombstones/1.0", "at:"),
    ("http://www.w3.org/2007/app", "app:"),
    ("http://purl.org/atom/app#", "app:"),
    ("http://schemas.google.com/blogger/2018", "blogger:"),
    ("http://wordpress.org/export/1.0/", "wp:"),
    ("http://wordpress.org/export/1.1/", "wp:"),
    ("http://wordpress.org/export/1.2/", "wp:"),
    ("http://search.yahoo.com/mrss/", "media:"),
    ("http://www.itunes.com/dtds/podcast-1.0.dtd", "itunes:"),
    ("http://www.w3.org/2005/Atom", ""),
    ("http://purl.org/atom/ns#", ""),
    ("http://purl.org/rss/1.0/", ""),
    ("http://my.netscape.com/rdf/simple/0.9/", ""),
    ("http://www.w3.org/1999/02/22-rdf-syntax-ns#", "rdf:"),
    ("http://purl.org/dc/elements/1.1/", "dc:"),
    ("http://purl.org/rss/1.0/modules/content/", "content:"),
    ("http://itunes.apple.com/rss", "im:"),
];

/// Returns whether a payload is XML.
pub(crate) fn is_xml(payload: &[u8]) -> bool {
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    payload.trim_ascii_start().first() == Some(&b'<')
        || matches!(payload, [0xff, 0xfe, b'<', 0, ..] | [0xfe, 0xff, 0, b'<', ..])
}

/// Returns a document as JSON: an object with the root element.
pub(crate) fn to_json(payload: &[u8]) -> Result<Vec<u8>> {
    let text = decoded(payload);
    let mut reader = NsReader::from_str(text.trim_start());
    reader.config_mut().expand_empty_elements = true;
    // Many feeds write `&` for itself.
    reader.config_mut().allow_dangling_amp = true;
    let (mut open, mut nodes) = (vec![Element::default()], 0);
    loop {
        let before = reader.buffer_position();
        let event = reader.read_event().map_err(|e| malformed(before, &e.to_string()))?;
        let Some(innermost) = open.last_mut() else { break };
        match event {
            Event::Start(start) => {
                let element = Element::new(&reader, &start);
                nodes += 1 + element.attributes.len();
                if nodes > MAX_NODES {
                    return Err(malformed(before, "it has too many elements"));
                }
                if element.is_html {
                    let inner =
                        reader.read_text(start.name()).map_err(|e| malformed(before, &e.to_string()))?;
                    innermost.add(Element { text: inner.to_string(), ..element });
                } else if open.len() > MAX_DEPTH {
                    return Err(malformed(before, "elements are nested too deeply"));
                } else {
                    open.push(element);
                }
            }
            Event::End(_) => {
                let element = open.pop().unwrap_or_default();
                if let Some(outer) = open.last_mut() {
                    outer.add(element);
                }
            }
            Event::Text(text) => innermost.text.push_str(&text),
            Event::CData(text) => innermost.text.push_str(&text),
            Event::GeneralRef(entity) => {
                let entity = format!("&{};", &*entity);
                innermost.text.push_str(&html_escape::decode_html_entities(&entity));
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Empty(_) => {}
        }
    }
    match open.pop() {
        Some(root) if open.is_empty() => Ok(Value::Object(root.children).to_string().into_bytes()),
        _ => Err(malformed(reader.buffer_position(), "the document ends within an element")),
    }
}

/// An element that is being read.
#[derive(Default)]
struct Element {
    /// `None` for one that is left out, with all in it.
    name: Option<String>,
    attributes: Map<String, Value>,
    children: Map<String, Value>,
    text: String,
    /// Its content is HTML, written as elements.
    is_html: bool,
}

impl Element {
    fn new(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Self {
        let (namespace, local) = reader.resolver().resolve_element(start.name());
        let local = local.as_ref();
        let prefix = match &namespace {
            ResolveResult::Unbound => Some(Cow::Borrowed("")),
            ResolveResult::Bound(Namespace(uri)) => {
                NAMESPACES.iter().find(|(known, _)| known == uri).map(|(_, prefix)| Cow::Borrowed(*prefix))
            }
            // Some feeds do not declare what they use.
            ResolveResult::Unknown(prefix) => Some(Cow::Owned(format!("{prefix}:"))),
        };
        let attributes: Map<String, Value> = start
            .attributes()
            .flatten()
            .filter(|attribute| !attribute.key.as_ref().starts_with("xmlns"))
            .map(|attribute| {
                let value = html_escape::decode_html_entities(&attribute.value).into_owned();
                let name = attribute.key.local_name().as_ref().to_owned();
                (name, Value::String(value))
            })
            .collect();
        let is_html = attributes.get("type").and_then(Value::as_str) == Some("xhtml");
        let name = prefix.map(|prefix| format!("{prefix}{local}"));
        Self { name, attributes, is_html, ..Self::default() }
    }

    /// Adds a child.
    fn add(&mut self, child: Self) {
        let Self { name: Some(name), attributes, mut children, text, .. } = child else { return };
        let text = text.trim();
        if !text.is_empty() || children.is_empty() {
            children.insert("label".into(), Value::String(text.to_owned()));
        }
        if !attributes.is_empty() {
            children.insert("attributes".into(), Value::Object(attributes));
        }
        let child = Value::Object(children);
        match self.children.get_mut(&name) {
            None => {
                self.children.insert(name, child);
            }
            Some(Value::Array(all)) => all.push(child),
            Some(first) => *first = Value::Array(vec![first.take(), child]),
        }
    }
}

/// Decodes the text by its byte order mark, or by the encoding that the declaration names.
fn decoded(payload: &[u8]) -> Cow<'_, str> {
    let head = payload.get(..DECLARATION_BYTES.min(payload.len())).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let declaration = head.split_once("?>").map_or("", |(declaration, _)| declaration);
    let label = declaration.split_once("encoding=").and_then(|(_, rest)| rest.split(['"', '\'']).nth(1));
    let encoding =
        label.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(encoding_rs::UTF_8);
    encoding.decode(payload).0
}

fn malformed(at: u64, what: &str) -> Rejection {
    Rejection::new(Code::UnknownPayload, format!("XML that cannot be read, at byte {at}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(document: &[u8], expected: &str) {
        assert_eq!(String::from_utf8(to_json(document).unwrap()).unwrap(), expected);
    }

    fn fault(document: &str) -> String {
        to_json(document.as_bytes()).unwrap_err().detail
    }

    #[test]
    fn elements_become_objects_with_labels_attributes_and_lists() {
        check(
            br#"<r><a>1</a><a k="v"/><b> x &amp; y </b></r>"#,
            r#"{"r":{"a":[{"label":"1"},{"attributes":{"k":"v"},"label":""}],"b":{"label":"x & y"}}}"#,
        );
        check(br#"<r xmlns:z="urn:other"><z:a>left out<b/></z:a><c/></r>"#, r#"{"r":{"c":{"label":""}}}"#);
    }

    #[test]
    fn the_declared_encoding_is_read() {
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><r>Gr\xfc\xdfe</r>";
        check(latin, "{\"r\":{\"label\":\"Gr\u{fc}\u{df}e\"}}");
        let utf_16: Vec<u8> = "\u{feff}<r>\u{fc}</r>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(is_xml(&utf_16));
        check(&utf_16, "{\"r\":{\"label\":\"\u{fc}\"}}");
    }

    #[test]
    fn what_would_grow_in_memory_is_refused() {
        assert!(fault(&format!("<r>{}</r>", "<a/>".repeat(MAX_NODES))).contains("too many elements"));
        assert!(fault(&"<a>".repeat(MAX_DEPTH + 1)).contains("nested too deeply"));
        assert!(fault("<r><a></r>").starts_with("XML that cannot be read, at byte "));
    }
}
