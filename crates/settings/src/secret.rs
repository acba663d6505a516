//! Secrets: from a file that a variable names, from a variable as it is, or from the settings file. No fault shows one.

use serde_json::json;
use toml::Value;

use crate::{Settings, get, variable_name};

/// Maximum length of a secret.
const MAX_SECRET_BYTES: usize = 4096;
/// Ending of a variable that names a file with the value.
pub(crate) const FILE_VARIABLE: &str = "_FILE";

impl Settings {
    /// Returns a secret of 1 to 4,096 bytes: from the file that the variable of the key with `_FILE` behind it names, as
    /// it is from the variable of the key, or from the settings file. No fault shows it.
    pub fn secret(&mut self, key: &str) -> Option<String> {
        self.record_key(key, json!({ "type": "string", "maxLength": MAX_SECRET_BYTES, "writeOnly": true }));
        self.known_keys.insert(key.into());
        match self.read_secret(key) {
            Ok(None) => None,
            Ok(Some(secret)) if (1..=MAX_SECRET_BYTES).contains(&secret.len()) => Some(secret),
            Ok(Some(_)) => {
                self.add_fault(key, format_args!("is empty or too long; give 1 to {MAX_SECRET_BYTES} bytes"));
                None
            }
            Err(problem) => {
                self.add_fault(key, problem);
                None
            }
        }
    }

    fn read_secret(&mut self, key: &str) -> Result<Option<String>, String> {
        let variable = variable_name(key);
        let file = self.variables.remove(&(variable.clone() + FILE_VARIABLE));
        match (self.variables.remove(&variable), file) {
            (Some(_), Some(_)) => {
                let name = format!("{}{variable}", self.prefix);
                Err(format!("both {name} and {name}{FILE_VARIABLE} are set; set one of them"))
            }
            (Some(secret), None) => Ok(Some(secret)),
            (None, Some(path)) => self.read_secret_file(&(variable + FILE_VARIABLE), &path).map(Some),
            (None, None) => match get(&self.table, key) {
                None => Ok(None),
                Some(Value::String(text)) => Ok(Some(text.clone())),
                Some(_) => Err("is not text; put it in quotes".into()),
            },
        }
    }

    /// Reads a secret from the file that a variable names, without the end of its last line.
    pub(crate) fn read_secret_file(&self, variable: &str, path: &str) -> Result<String, String> {
        match (self.read_file)(path) {
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(e) => Err(format!("{}{variable}: {path}: {e}; name a file that can be read", self.prefix)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

    #[test]
    fn a_secret_is_never_shown_nor_read_as_toml() {
        let files = |path: &str| match path {
            "password" => Ok("from the file\n".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let read = |variables: &[(&str, &str)], text: &str| {
            let mut s = Settings::parse("f.toml", text).unwrap();
            let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            s.override_from("FW_", variables, files);
            let secret = s.secret("mail.password");
            s.finish(secret).map_err(|faults| faults.iter().map(Fault::to_string).collect::<String>())
        };
        let is = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read(&[("FW_MAIL_PASSWORD", "90210481516234242")], ""), is("90210481516234242"));
        assert_eq!(read(&[("FW_MAIL_PASSWORD", "[\"x\"]")], ""), is("[\"x\"]"));
        assert_eq!(read(&[("FW_MAIL_PASSWORD_FILE", "password")], ""), is("from the file"));
        assert_eq!(read(&[], "[mail]\npassword = \"given\"\n"), is("given"));
        assert_eq!(read(&[], ""), Ok(None));
        for (variables, text, words) in [
            (&[][..], "[mail]\npassword = 4242\n", "is not text"),
            (&[("FW_MAIL_PASSWORD", "")], "", "is empty"),
            (&[("FW_MAIL_PASSWORD", &"4242".repeat(2000)[..])], "", "too long"),
            (&[("FW_MAIL_PASSWORD", "4242"), ("FW_MAIL_PASSWORD_FILE", "f")], "", "set one of them"),
            (&[("FW_MAIL_PASSWORD_FILE", "no such file")], "", "name a file that can be read"),
        ] {
            let faults = read(variables, text).unwrap_err();
            assert!(faults.contains(words) && !faults.contains("4242"), "{faults}");
        }
        let fault = Settings::parse("f.toml", "a = 1\npassword = hunter2\n").unwrap_err()[0].to_string();
        assert!(fault.starts_with("f.toml: line 2, column 12: ") && !fault.contains("hunter"), "{fault}");
    }
}
