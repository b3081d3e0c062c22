//! One thing found out: how bad, what it is, what to do.

use serde_json::{Value, json};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Will or may become a problem; or something was lost.
    Warning,
    /// Records are not written, or will be lost.
    Problem,
}

impl Severity {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        }
    }
}

/// One thing found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its name in `docs/operating.md`.
    pub id: &'static str,
    /// What is, in a sentence.
    pub what: String,
    /// What to do about it; empty if nothing.
    pub advice: String,
}

impl Finding {
    /// All is well with this.
    pub fn ok(id: &'static str, what: impl Into<String>) -> Finding {
        Finding { severity: Severity::Ok, id, what: what.into(), advice: String::new() }
    }

    /// Worth knowing.
    pub fn note(id: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { severity: Severity::Note, id, what: what.into(), advice: advice.into() }
    }

    /// See [`Severity::Warning`].
    pub fn warning(id: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, id, what: what.into(), advice: advice.into() }
    }

    /// See [`Severity::Problem`].
    pub fn problem(id: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { severity: Severity::Problem, id, what: what.into(), advice: advice.into() }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({"severity": self.severity.word(), "id": self.id, "what": self.what, "do": self.advice})
    }
}
