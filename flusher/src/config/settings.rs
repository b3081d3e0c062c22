//! What is said of one log: settings, and where each was said.

use super::keys::{self, KEYS};
use super::setting::{Setting, Value};
use crlog::Options;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In this line of this file.
    File(Arc<str>, usize),
    /// In the environment.
    Environment,
    /// On the command line.
    CommandLine,
}

impl Origin {
    /// In words, for a key.
    pub fn of(&self, key: &str) -> String {
        match (self, keys::find(key)) {
            (Origin::File(name, line), _) => format!("{name}:{line}"),
            (Origin::Environment, Some(key)) => key.variable(),
            (Origin::Environment, None) => key.to_owned(),
            (Origin::CommandLine, _) => "command line".into(),
        }
    }
}

/// Something that keeps a configuration from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub origin: Origin,
    /// The key, or several; empty if it is about none.
    pub key: String,
    /// What is wrong, and what can be done.
    pub text: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = match (&self.origin, keys::find(&self.key)) {
            (Origin::File(..), _) if self.key.is_empty() => self.origin.of(""),
            (Origin::File(..), _) => format!("{}: {}", self.origin.of(""), self.key),
            (Origin::CommandLine, Some(key)) => key.argument(),
            (Origin::CommandLine, None) => return f.write_str(&self.text),
            (Origin::Environment, _) => self.origin.of(&self.key),
        };
        write!(f, "{place}: {}", self.text)
    }
}

/// Settings by key.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<&'static str, (Setting, Origin)>);

impl Settings {
    /// Adds what was said of a key; over what was said before.
    pub fn put(&mut self, setting: Setting, origin: Origin) {
        let setting = match self.0.get(setting.key) {
            Some((old, _)) => setting.over(old),
            None => setting,
        };
        self.0.insert(setting.key, (setting, origin));
    }

    /// These where `weaker` holds otherwise.
    #[must_use]
    pub fn over(&self, weaker: &Settings) -> Settings {
        let mut all = weaker.clone();
        self.0.values().for_each(|(setting, origin)| all.put(setting.clone(), origin.clone()));
        all
    }

    /// What was said of a key, and where.
    pub fn get(&self, key: &str) -> Option<&(Setting, Origin)> {
        self.0.get(key)
    }

    /// All keys of which something was said, in the order of [`KEYS`].
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + '_ {
        KEYS.iter().map(|key| key.name).filter(|name| self.0.contains_key(name))
    }

    /// Whether a key is set to yes.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|(setting, _)| setting.value == Value::Truth(true))
    }

    /// These without some keys.
    #[must_use]
    pub fn without(&self, keys: &[&str]) -> Settings {
        let mut rest = self.clone();
        rest.0.retain(|key, _| !keys.contains(key));
        rest
    }

    /// These settings put into options.
    pub fn apply(&self, options: Options) -> Options {
        self.0.values().fold(options, |options, (setting, _)| setting.apply(options))
    }
}
