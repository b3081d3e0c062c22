//! One setting that was read: what it does to the options of a log, and how it is shown.

use crlog::Options;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value in its one canonical form: equal if and only if it means the same. Shown as TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// Yes or no.
    Truth(bool),
    /// A text for each of some severities.
    BySeverity(BTreeMap<usize, String>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // TOML has no larger ones; a text is read as well.
            Value::Number(n) if i64::try_from(*n).is_err() => write!(f, "\"{n}\""),
            Value::Number(n) => write!(f, "{n}"),
            Value::Text(text) => f.write_str(&quoted(text)),
            Value::Truth(yes) => write!(f, "{yes}"),
            Value::BySeverity(all) => f.write_str(&by_severity(all)),
        }
    }
}

fn by_severity(all: &BTreeMap<usize, String>) -> String {
    let names = crlog::Severity::ALL;
    if let Some(one) = all.get(&0)
        && all.len() == names.len()
        && all.values().all(|text| text == one)
    {
        return quoted(one);
    }
    let parts = all.iter().filter_map(|(i, text)| Some(format!("{} = {}", names.get(*i)?, quoted(text))));
    format!("{{ {} }}", parts.collect::<Vec<_>>().join(", "))
}

/// As a basic string of TOML.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

type Apply = dyn Fn(Options) -> Options + Send + Sync;

/// A value of a key, ready to be used.
#[derive(Clone)]
pub struct Setting {
    /// The key's name.
    pub key: &'static str,
    /// The value.
    pub value: Value,
    apply: Arc<Apply>,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.key, self.value)
    }
}

impl Setting {
    /// What it does to the options.
    pub fn new(value: Value, apply: impl Fn(Options) -> Options + Send + Sync + 'static) -> Setting {
        Setting { key: "", value, apply: Arc::new(apply) }
    }

    /// It as a value of this key.
    #[must_use]
    pub fn of(self, key: &'static str) -> Setting {
        Setting { key, ..self }
    }

    /// The options with this setting.
    pub fn apply(&self, options: Options) -> Options {
        (self.apply)(options)
    }

    /// This setting where another one holds already: it replaces that, but what is said of some severities leaves the
    /// others as they are.
    #[must_use]
    pub fn over(self, old: &Setting) -> Setting {
        let (Value::BySeverity(new), Value::BySeverity(before)) = (&self.value, &old.value) else {
            return self;
        };
        let mut all = before.clone();
        all.extend(new.clone());
        let (first, then) = (Arc::clone(&old.apply), Arc::clone(&self.apply));
        Setting {
            key: self.key,
            value: Value::BySeverity(all),
            apply: Arc::new(move |options| then(first(options))),
        }
    }
}
