//! Splits a stream into payloads: JSON values and XML documents on one or several lines, and server-sent events.
//!
//! A broken payload ends where the next one begins, so that one fault costs only one payload.

use crate::MAX_PAYLOAD_BYTES;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const XML_DECLARATION: &[u8] = b"<?xml";
/// Number of bytes in which an XML document must name its root element.
const MAX_PROLOG_BYTES: usize = 64 << 10;

/// Splits lines into payloads.
#[derive(Debug, Default)]
pub struct Frames {
    payload: Vec<u8>,
    /// The line on which the payload begins, from 1.
    began: u64,
    line: u64,
    /// The open brackets, `{` or `[`, innermost last.
    open: Vec<u8>,
    in_text: bool,
    escaped: bool,
    /// Whether the payload is a server-sent event, which ends with a blank line.
    in_sent_event: bool,
    /// Whether the payload is an XML document, which ends with the end of its root element.
    in_xml: bool,
    /// The end of that element, once its name has been seen.
    xml_end: Option<Vec<u8>>,
    /// Whether the payload exceeds the maximum size. The rest of it is dropped.
    is_cut: bool,
}

/// A payload with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadFrame<'a> {
    /// The line on which the payload begins, from 1.
    pub line: u64,
    /// The bytes. An oversized payload is cut to one byte more than the maximum, so that decoding rejects it.
    pub payload: &'a [u8],
}

impl Frames {
    /// Reads the next line, given without its line end, and calls `take` with each payload that it completes.
    pub fn line(&mut self, line: &[u8], take: &mut impl FnMut(PayloadFrame<'_>)) {
        self.line += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.in_sent_event || self.begins_sent_event(line) {
            return self.sent_event_line(line, take);
        }
        if self.in_xml && !line.starts_with(XML_DECLARATION) {
            return self.xml_line(line, take);
        }
        if self.in_xml || self.is_new_payload(line) {
            self.end(take);
        }
        let mut rest = line;
        loop {
            if self.payload.is_empty() {
                // Skips the record separator of JSON text sequences (RFC 7464).
                rest = rest.trim_ascii_start().strip_prefix(b"\x1e").unwrap_or(rest).trim_ascii_start();
                if rest.is_empty() {
                    return;
                }
                self.began = self.line;
                let text = rest.strip_prefix(BYTE_ORDER_MARK).unwrap_or(rest);
                if text.first() == Some(&b'<') {
                    self.in_xml = true;
                    return self.xml_line(rest, take);
                }
                if !matches!(rest.first(), Some(b'{' | b'[')) {
                    self.push(rest);
                    return self.end(take);
                }
            }
            let Some(end) = self.scan(rest) else { break };
            let (last, more) = rest.split_at(end);
            self.push(last);
            self.end(take);
            rest = more;
        }
        self.push(rest);
        if self.in_text {
            // JSON strings cannot contain a line break, so the payload is broken.
            self.end(take);
        } else {
            self.push(b"\n");
        }
    }

    /// Ends the stream, and calls `take` with the last payload if there is one.
    pub fn finish(&mut self, take: &mut impl FnMut(PayloadFrame<'_>)) {
        self.end(take);
    }

    fn begins_sent_event(&self, line: &[u8]) -> bool {
        self.payload.is_empty()
            && [&b"event:"[..], b"data:", b":", b"id:"].iter().any(|field| line.starts_with(field))
    }

    fn sent_event_line(&mut self, line: &[u8], take: &mut impl FnMut(PayloadFrame<'_>)) {
        if line.is_empty() {
            return self.end(take);
        }
        if self.payload.is_empty() {
            self.began = self.line;
            // A comment only keeps the connection alive.
            if line.starts_with(b":") {
                return;
            }
        }
        self.in_sent_event = true;
        self.push(line);
        self.push(b"\n");
    }

    fn xml_line(&mut self, line: &[u8], take: &mut impl FnMut(PayloadFrame<'_>)) {
        self.push(line);
        self.push(b"\n");
        if self.xml_end.is_none() && self.payload.len() <= MAX_PROLOG_BYTES {
            self.xml_end = root_end(&self.payload);
        }
        let is_comment = self.payload.starts_with(b"<!--") && self.payload.trim_ascii_end().ends_with(b"-->");
        if self.xml_end.is_none() && is_comment {
            // Comments before and after a document are no payload.
            self.payload.clear();
            self.in_xml = false;
            return;
        }
        let ends = self.xml_end.as_ref().is_some_and(|end| line.windows(end.len()).any(|part| part == end));
        if ends {
            self.end(take);
        }
    }

    /// Returns whether a line must be the start of another payload: an object expects a key, but the line
    /// begins with a bracket.
    fn is_new_payload(&self, line: &[u8]) -> bool {
        self.open.last() == Some(&b'{')
            && !self.payload.trim_ascii_end().ends_with(b":")
            && matches!(line.first(), Some(b'{' | b'['))
    }

    /// Returns the end of the payload in these bytes, if it ends there.
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        for (i, byte) in bytes.iter().enumerate() {
            if self.in_text {
                match (self.escaped, byte) {
                    (true, _) => self.escaped = false,
                    (false, b'\\') => self.escaped = true,
                    (false, b'"') => self.in_text = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.open.push(*byte),
                b'}' | b']' => {
                    self.open.pop();
                    if self.open.is_empty() {
                        return Some(i + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = (MAX_PAYLOAD_BYTES + 1).saturating_sub(self.payload.len());
        self.is_cut |= room < bytes.len();
        self.payload.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    fn end(&mut self, take: &mut impl FnMut(PayloadFrame<'_>)) {
        let payload = self.payload.trim_ascii_end();
        if !payload.is_empty() {
            // Keeps all bytes of a cut payload, so that its length exceeds the maximum.
            let payload = if self.is_cut { &self.payload } else { payload };
            take(PayloadFrame { line: self.began, payload });
        }
        self.payload.clear();
        self.open.clear();
        (self.in_text, self.escaped, self.in_sent_event, self.is_cut) = (false, false, false, false);
        (self.in_xml, self.xml_end) = (false, None);
    }
}

/// Returns the beginning of the end tag of an XML document's root element.
fn root_end(document: &[u8]) -> Option<Vec<u8>> {
    let mut rest = document;
    loop {
        let at = rest.iter().position(|byte| *byte == b'<')?;
        rest = rest.get(at + 1..)?;
        let skipped: &[u8] = match rest {
            [b'?', ..] => b"?>",
            [b'!', b'-', b'-', ..] => b"-->",
            [b'!', ..] => b">",
            _ => {
                let name =
                    rest.split(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')).next()?;
                return Some([b"</", name].concat());
            }
        };
        let end = rest.windows(skipped.len()).position(|part| part == skipped)?;
        rest = rest.get(end..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stream: &str, expected: &[(u64, &str)]) {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        let mut take = |frame: PayloadFrame<'_>| {
            found.push((frame.line, String::from_utf8_lossy(frame.payload).into_owned()));
        };
        for line in stream.split_terminator('\n') {
            frames.line(line.as_bytes(), &mut take);
        }
        frames.finish(&mut take);
        let found: Vec<_> = found.iter().map(|(line, payload)| (*line, payload.as_str())).collect();
        assert_eq!(found, expected, "{stream}");
    }

    #[test]
    fn a_payload_a_line_or_over_lines() {
        check("{\"a\":1}\n\n[2]\r\n", &[(1, "{\"a\":1}"), (3, "[2]")]);
        check("{\n  \"a\": [\n{},\n{}\n]\n}\n{}", &[(1, "{\n  \"a\": [\n{},\n{}\n]\n}"), (7, "{}")]);
        check("{\"a\":\n{\"b\":1}\n}", &[(1, "{\"a\":\n{\"b\":1}\n}")]);
        check("{}{\"a\":\"}\"} [1]", &[(1, "{}"), (1, "{\"a\":\"}\"}"), (1, "[1]")]);
        check("\x1e{}\n\x1e{}\n", &[(1, "{}"), (2, "{}")]);
        check("", &[]);
    }

    #[test]
    fn a_broken_payload_costs_itself_alone() {
        check("{\"a\":\"open\n{\"b\":1}", &[(1, "{\"a\":\"open"), (2, "{\"b\":1}")]);
        check("{\"a\":1,\n{\"b\":1}", &[(1, "{\"a\":1,"), (2, "{\"b\":1}")]);
        check("no JSON\n{}", &[(1, "no JSON"), (2, "{}")]);
        check("{\"a\":\"\\\"}", &[(1, "{\"a\":\"\\\"}")]);
        check("}\n{}", &[(1, "}"), (2, "{}")]);
        check("{\"a\":1", &[(1, "{\"a\":1")]);
    }

    #[test]
    fn server_sent_events_end_with_a_blank_line() {
        check(
            ":thump\n\nevent: update\ndata: {\"id\":\ndata: 1}\n\nevent: delete\ndata: 7\n",
            &[(3, "event: update\ndata: {\"id\":\ndata: 1}"), (7, "event: delete\ndata: 7")],
        );
    }

    #[test]
    fn an_xml_document_ends_with_its_root_element() {
        let rss = "<?xml version='1.0'?>\n<!-- <a> -->\n<rss>\n<x/></rss>";
        check(&format!("{rss}\n{{}}"), &[(1, rss), (5, "{}")]);
        check(&format!("\u{feff}<rss></rss>\n{rss}"), &[(1, "\u{feff}<rss></rss>"), (2, rss)]);
        check(&format!("<rss>\n<x>\n{rss}"), &[(1, "<rss>\n<x>"), (3, rss)]);
        check(&format!("{rss}\n<!-- made\nby hand -->\n{{}}"), &[(1, rss), (7, "{}")]);
        check("<html>\nerror", &[(1, "<html>\nerror")]);
    }

    #[test]
    fn what_is_too_long_is_cut_and_seen_to_be() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_PAYLOAD_BYTES));
        let mut frames = Frames::default();
        let mut lengths = Vec::new();
        frames.line(long.as_bytes(), &mut |frame| lengths.push(frame.payload.len()));
        frames.line(b"{}", &mut |frame| lengths.push(frame.payload.len()));
        assert_eq!(lengths, [MAX_PAYLOAD_BYTES + 1, 2]);
    }
}
