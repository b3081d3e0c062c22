//! What somebody wrote as the value of a key, wherever he wrote it, and how it is read as one kind of value.

use crate::units;
use std::path::{Path, PathBuf};

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A text: the only kind on a command line and in the environment.
    Text(String),
    /// A whole number: its digits, and their base.
    Number(String, u32),
    /// Yes or no.
    Truth(bool),
    /// Names with values.
    Table(Vec<(String, What)>),
    /// What no key takes: what it is.
    Other(&'static str),
}

impl What {
    /// In words, with its article.
    pub fn kind(&self) -> &'static str {
        match self {
            What::Text(_) => "a text",
            What::Number(..) => "a number",
            What::Truth(_) => "true or false",
            What::Table(_) => "a table",
            What::Other(kind) => kind,
        }
    }
}

/// A value, and where its file is.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The value.
    pub what: &'a What,
    /// What relative paths begin at; empty for the working directory.
    pub base: &'a Path,
}

/// It is of another kind than the key takes. [`Key::read`](super::keys::Key::read) adds an example.
pub fn wrong_kind(what: &What, wanted: &str) -> String {
    format!("{wanted} is expected here, not {}", what.kind())
}

impl Given<'_> {
    /// A text, read by a parser.
    pub fn text<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
        match self.what {
            What::Text(text) => parse(text.trim()),
            other => Err(wrong_kind(other, "a text in quotes")),
        }
    }

    /// A size: bytes as a number, or a text with a unit.
    pub fn size(&self) -> Result<u64, String> {
        match self.what {
            What::Text(text) => units::size(text),
            What::Number(digits, base) => number(digits, *base),
            other => Err(wrong_kind(other, "a size")),
        }
    }

    /// A count.
    pub fn count(&self) -> Result<u32, String> {
        let count = match self.what {
            What::Text(text) => number(text.trim(), 10)?,
            What::Number(digits, base) => number(digits, *base)?,
            other => return Err(wrong_kind(other, "a number")),
        };
        u32::try_from(count).map_err(|_| format!("too large: at most {}", u32::MAX))
    }

    /// Yes or no.
    pub fn truth(&self) -> Result<bool, String> {
        match self.what {
            What::Text(text) => units::yes(text.trim()),
            What::Truth(yes) => Ok(*yes),
            other => Err(wrong_kind(other, "true or false")),
        }
    }

    /// Permissions: a text of octal digits, or a number that says that it is octal.
    pub fn mode(&self) -> Result<u32, String> {
        match self.what {
            What::Text(text) => units::mode(text.trim().trim_start_matches("0o")),
            What::Number(digits, 8) => units::mode(digits),
            What::Number(digits, _) => Err(format!(
                "permissions are octal, and {digits} does not say that it is: write them as a text in quotes, or with 0o"
            )),
            other => Err(wrong_kind(other, "octal digits in quotes")),
        }
    }

    /// The path of a file or directory, as it is: blanks count.
    pub fn path(&self) -> Result<PathBuf, String> {
        match self.what {
            What::Text(text) if text.is_empty() => Err("a path is expected here, not an empty text".into()),
            What::Text(text) if text.contains('\0') => Err("a path cannot contain a NUL character".into()),
            What::Text(path) => Ok(self.base.join(path)),
            other => Err(wrong_kind(other, "a text in quotes")),
        }
    }
}

fn number(digits: &str, base: u32) -> Result<u64, String> {
    if digits.starts_with('-') {
        return Err("below 0 is not possible".into());
    }
    u64::from_str_radix(digits, base).map_err(|e| match e.kind() {
        std::num::IntErrorKind::PosOverflow => "the number is too large".into(),
        _ => "a whole number is expected".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(what: &What) -> Given<'_> {
        Given { what, base: Path::new("/etc") }
    }

    fn text(text: &str) -> What {
        What::Text(text.into())
    }

    fn digits(digits: &str, base: u32) -> What {
        What::Number(digits.into(), base)
    }

    #[test]
    fn sizes_and_counts_are_numbers_or_texts() {
        assert_eq!(given(&text("10 MB")).size(), Ok(10_000_000));
        assert_eq!(given(&digits("10485760", 10)).size(), Ok(10_485_760));
        assert_eq!(given(&digits("ff", 16)).size(), Ok(255));
        assert_eq!(given(&text(" 5 ")).count(), Ok(5));
        for (what, reason) in [
            (digits("-1", 10), "below 0"),
            (digits("99999999999999999999", 10), "too large"),
            (What::Truth(true), "not true or false"),
            (What::Other("a date"), "not a date"),
            (What::Table(vec![]), "not a table"),
        ] {
            for said in [given(&what).size().err(), given(&what).count().err()] {
                assert!(said.as_ref().is_some_and(|e| e.contains(reason)), "{what:?}: {said:?}");
            }
        }
        assert!(given(&digits("5000000000", 10)).count().is_err_and(|e| e.contains("at most 4294967295")));
        assert!(given(&text("five")).count().is_err_and(|e| e.contains("a whole number")));
    }

    #[test]
    fn permissions_must_say_that_they_are_octal() {
        for what in [text("0640"), text("640"), text("0o640"), digits("640", 8)] {
            assert_eq!(given(&what).mode(), Ok(0o640), "{what:?}");
        }
        assert!(given(&digits("640", 10)).mode().is_err_and(|e| e.contains("octal")));
        assert!(given(&digits("1640", 8)).mode().is_err());
    }

    #[test]
    fn paths_begin_where_the_file_is() {
        assert_eq!(given(&text("a/b")).path(), Ok("/etc/a/b".into()));
        assert_eq!(given(&text("/a/b")).path(), Ok("/a/b".into()));
        for bad in [text(""), text("a\0b"), digits("1", 10)] {
            assert!(given(&bad).path().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn yes_and_no_are_words_or_truths() {
        for (what, yes) in [(text("yes"), true), (text("off"), false), (What::Truth(true), true)] {
            assert_eq!(given(&what).truth(), Ok(yes));
        }
        assert!(given(&digits("1", 10)).truth().is_err() && given(&text("maybe")).truth().is_err());
    }
}
