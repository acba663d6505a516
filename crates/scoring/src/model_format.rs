//! The container format of model files: magic, version, sizes and checksum, all verified on reading.
//!
//! Layout, integers little-endian: magic (six letters and `\r\n`, which detects converted line ends), version
//! (u32), length of the head (u32), length of the body (u32), checksum (u64, FNV-1a of everything after it),
//! head (postcard), body.

use std::hash::Hasher;

use fnv::FnvHasher;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ModelError;

/// Length of magic, version, lengths and checksum, in bytes.
const PREFIX_BYTES: usize = 28;
/// Maximum size of a file, in bytes.
const MAX_FILE_BYTES: usize = 16 << 20;

/// A kind of model file.
pub(crate) struct ModelFormat {
    /// The first eight bytes.
    pub magic: &'static [u8; 8],
    /// The only version that this build reads and writes.
    pub version: u32,
    /// What error messages call the file, with its article: "a text model".
    pub description: &'static str,
}

impl ModelFormat {
    /// Writes a file from its head and body.
    pub fn write(&self, head: &impl Serialize, body: &[u8]) -> Result<Vec<u8>, ModelError> {
        let mut rest = postcard::to_allocvec(head)
            .map_err(|e| self.error(format_args!("that cannot be written: {e}")))?;
        let head_bytes = rest.len();
        rest.extend(body);
        let mut out = self.magic.to_vec();
        for n in [self.version, head_bytes as u32, body.len() as u32] {
            out.extend(n.to_le_bytes());
        }
        out.extend(checksum(&rest).to_le_bytes());
        out.extend(rest);
        if out.len() > MAX_FILE_BYTES {
            return Err(self.error(format_args!("of {} bytes; the maximum is {MAX_FILE_BYTES}", out.len())));
        }
        Ok(out)
    }

    /// Returns whether the bytes begin with this format's magic.
    pub fn has_magic(&self, bytes: &[u8]) -> bool {
        bytes.starts_with(self.magic)
    }

    /// Reads a file and returns its head and body.
    pub fn read<'a, T: DeserializeOwned>(&self, bytes: &'a [u8]) -> Result<(T, &'a [u8]), ModelError> {
        let Some((prefix, rest)) =
            bytes.split_at_checked(PREFIX_BYTES).filter(|(p, _)| p.starts_with(self.magic))
        else {
            return Err(ModelError::File(format!(
                "not {}: the file does not begin with its magic bytes",
                self.description
            )));
        };
        let number = |at: usize| u32::from_le_bytes(prefix[at..at + 4].try_into().unwrap_or_default());
        let (version, head, body) = (number(8), number(12) as usize, number(16) as usize);
        if version != self.version {
            return Err(
                self.error(format_args!("of version {version}; this build reads version {}", self.version))
            );
        }
        let expected = head.saturating_add(body);
        if bytes.len() > MAX_FILE_BYTES || rest.len() != expected {
            let (actual, declared) = (bytes.len(), expected.saturating_add(PREFIX_BYTES));
            return Err(self.error(format_args!(
                "of {actual} bytes whose header declares {declared}; it was cut off or added to"
            )));
        }
        let stated = u64::from_le_bytes(prefix[20..].try_into().unwrap_or_default());
        if checksum(rest) != stated {
            return Err(self.error(format_args!("with a wrong checksum; its bytes were altered")));
        }
        let (head, body) = rest.split_at(head);
        let head =
            postcard::from_bytes(head).map_err(|e| self.error(format_args!("with a damaged head: {e}")))?;
        Ok((head, body))
    }

    fn error(&self, problem: std::fmt::Arguments<'_>) -> ModelError {
        ModelError::File(format!("{} {problem}", self.description))
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hash = FnvHasher::default();
    hash.write(bytes);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: ModelFormat = ModelFormat { magic: b"FWTEST\r\n", version: 3, description: "a test" };

    fn refused(bytes: &[u8]) -> String {
        FORMAT.read::<String>(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = FORMAT.write(&"head", b"body").unwrap();
        assert_eq!(FORMAT.read::<String>(&bytes).unwrap(), ("head".to_owned(), b"body".as_slice()));
    }

    #[test]
    fn what_was_cut_off_altered_or_is_newer_is_refused_with_the_reason() {
        let bytes = FORMAT.write(&"head", b"body").unwrap();
        for n in 0..bytes.len() {
            let problem = refused(&bytes[..n]);
            assert!(problem.contains("begin") || problem.contains("cut off"), "{n}: {problem}");
        }
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(FORMAT.read::<String>(&altered).is_err(), "{at}");
        }
        let newer = ModelFormat { version: 4, ..FORMAT }.write(&"head", b"body").unwrap();
        assert!(refused(&newer).contains("version 4; this build reads version 3"));
        assert!(refused(&[bytes, vec![0]].concat()).contains("added to"));
        assert!(FORMAT.write(&"", &vec![0; MAX_FILE_BYTES]).is_err());
    }
}
