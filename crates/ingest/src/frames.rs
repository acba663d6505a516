//! Payloads out of a stream of bytes: JSON in lines or spread over them, and server-sent events.
//!
//! A payload that is broken ends where the next one begins, so that one fault costs one payload.

use crate::MAX_PAYLOAD_BYTES;

/// Cuts a stream into payloads.
#[derive(Debug, Default)]
pub struct Frames {
    payload: Vec<u8>,
    /// The line on which it began, from 1.
    began: u64,
    line: u64,
    /// What is open: `{` or `[`, the innermost last.
    open: Vec<u8>,
    in_text: bool,
    escaped: bool,
    /// Inside a server-sent event, which a blank line ends.
    in_sent_event: bool,
    /// It is longer than any that is read: what more there is of it is left out.
    is_cut: bool,
}

/// A payload, and the line on which it begins, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadFrame<'a> {
    /// The line.
    pub line: u64,
    /// The bytes, at most one more than a payload may have.
    pub payload: &'a [u8],
}

impl Frames {
    /// Takes the next line, without what ends it, and hands on each payload that is whole with it.
    pub fn line(&mut self, line: &[u8], take: &mut impl FnMut(PayloadFrame<'_>)) {
        self.line += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.in_sent_event || self.begins_sent_event(line) {
            return self.sent_event_line(line, take);
        }
        if self.is_new_payload(line) {
            self.end(take);
        }
        let mut rest = line;
        loop {
            if self.payload.is_empty() {
                // Records are also set apart by the record separator (RFC 7464).
                rest = rest.trim_ascii_start().strip_prefix(b"\x1e").unwrap_or(rest).trim_ascii_start();
                if rest.is_empty() {
                    return;
                }
                self.began = self.line;
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
            // A text holds no line break: this payload is broken.
            self.end(take);
        } else {
            self.push(b"\n");
        }
    }

    /// The stream has ended.
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
            // A comment keeps the connection open and says nothing.
            if line.starts_with(b":") {
                return;
            }
        }
        self.in_sent_event = true;
        self.push(line);
        self.push(b"\n");
    }

    /// Whether a line can only be the start of another payload: in an object, a key has to follow.
    fn is_new_payload(&self, line: &[u8]) -> bool {
        self.open.last() == Some(&b'{')
            && !self.payload.trim_ascii_end().ends_with(b":")
            && matches!(line.first(), Some(b'{' | b'['))
    }

    /// Where the payload ends, if it does in these bytes.
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
            // One that is cut must be seen to be too long.
            let payload = if self.is_cut { &self.payload } else { payload };
            take(PayloadFrame { line: self.began, payload });
        }
        self.payload.clear();
        self.open.clear();
        (self.in_text, self.escaped, self.in_sent_event, self.is_cut) = (false, false, false, false);
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
    fn what_is_too_long_is_cut_and_seen_to_be() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_PAYLOAD_BYTES));
        let mut frames = Frames::default();
        let mut lengths = Vec::new();
        frames.line(long.as_bytes(), &mut |frame| lengths.push(frame.payload.len()));
        frames.line(b"{}", &mut |frame| lengths.push(frame.payload.len()));
        assert_eq!(lengths, [MAX_PAYLOAD_BYTES + 1, 2]);
    }
}
