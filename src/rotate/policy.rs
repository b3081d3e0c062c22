//! At which record a file is full.
use super::machine::Stage;

/// How a file's size is held against the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SizeRule {
    /// No file exceeds the limit, except one that holds a single record which is itself longer.
    #[default]
    Strict,
    /// Rotate when the file has reached the limit before the record, whatever the record's length.
    /// Files overshoot by less than one record (the rule of Python's concurrent-log-handler).
    CheckBefore,
}

/// What archives are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// `app.log.1` is the newest, and all are renamed at each rotation.
    #[default]
    Numbered,
    /// After the time at which the file was begun: `app.log.2026-05-01`, then `app.log.2026-05-01.1` and so on, higher is
    /// newer. None is renamed again.
    Dated,
    /// By a template such as `{stem}.{date:%Y-%m-%d}{ext}`. Its fields are `{name}`, `{stem}` and `{ext}` (with its dot) of the
    /// log, and either `{n}`, a number of the chain (1 is the newest), or `{date:STRFTIME}` and `{seq}`, a number from 1
    /// that is never given twice. `{{` is a brace. `docs/rotation.md` has all of it.
    Template(String),
}

/// What becomes of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// They are numbers of a chain, and change at each rotation.
    #[default]
    Numbered,
    /// An archive has its name for good, after the time at which it was begun, or after a number.
    Dated,
}

/// When to rotate and how many archives to keep. The default never rotates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The limit of a file's size; 0 is no limit.
    pub max_bytes: u64,
    /// The highest number an archive may have. With 0 a full log is truncated instead.
    pub backups: u32,
    /// How the limit is applied.
    pub rule: SizeRule,
    /// What becomes of the archives' names. With dated names nothing is truncated, and the number of archives is not the machine's
    /// business.
    pub names: Scheme,
    /// The log file has its own name from the beginning, and keeps it: a rotation makes the next file, and nothing is renamed.
    pub direct: bool,
}

impl Policy {
    /// Whether a rotation that no limit of size asks for may be made: one that would empty the file may only if there is
    /// such a limit, too.
    #[must_use]
    pub fn may_empty(&self) -> bool {
        !self.empties() || self.max_bytes > 0
    }

    /// Whether a rotation empties the file: numbers are wanted, and none of them is kept.
    #[must_use]
    pub fn empties(&self) -> bool {
        self.backups == 0 && self.names == Scheme::Numbered && !self.direct
    }

    /// Whether a file of `file_bytes` must be rotated before a record of `record_bytes` goes in.
    ///
    /// An empty file is never rotated for its size, so a record longer than the limit finds a
    /// place: a file of its own under [`SizeRule::Strict`].
    #[must_use]
    pub fn must_rotate_before(&self, file_bytes: u64, record_bytes: u64) -> bool {
        if self.max_bytes == 0 || file_bytes == 0 {
            return false;
        }
        match self.rule {
            SizeRule::Strict => file_bytes.saturating_add(record_bytes) > self.max_bytes,
            SizeRule::CheckBefore => file_bytes >= self.max_bytes,
        }
    }

    /// The stage with which a machine is started in order to rotate now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        if self.backups == 0 && self.names == Scheme::Numbered { Stage::Truncate } else { Stage::Rotate }
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
