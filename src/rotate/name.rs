//! What archives are called: `<log>.1` is the newest, `<log>.2` the one before, and so on.
//!
//! A number may carry `.gz` or `.zst`: such a file is a member of the chain like any other and is shifted
//! with its ending, so a directory in which archives are compressed, by crlog or another handler, stays whole. If
//! a number has both a plain and a compressed file (two handlers have used the directory),
//! both are archives; which is older cannot be known, and the plain one is taken to be.
//! In a long chain the newest waits as `<log>.newest` until the others have made room for it ([`super::shift`]).
//! The one that is to fall off waits as `<log>.oldest` until the rotation has succeeded.
//! Everything else in the directory belongs to strangers and is neither read, moved nor counted.

use super::naming::Chained;
use super::schedule::Dated;
use std::cmp::{Ordering, Reverse};

/// How the bytes of an archive are packed, which is the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packing {
    /// As they were logged; no ending.
    Plain,
    /// `.gz`.
    Gzip,
    /// `.zst`.
    Zstd,
}

impl Packing {
    /// What stands behind the number.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// A name without its ending, and what the ending means.
    #[must_use]
    pub fn strip(name: &str) -> (&str, Self) {
        let packed = [Self::Gzip, Self::Zstd].into_iter();
        let stripped = |packing: Self| Some((name.strip_suffix(packing.ending())?, packing));
        packed.filter_map(stripped).next().unwrap_or((name, Self::Plain))
    }
}

/// A place in the chain. Number 0 is the live log itself, which is never packed. The order is from the newest to the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// 0 for the live log, 1 for the newest archive; [`Member::WAITING`] for one that is to become number 1, [`Member::OUT`] for one that is
    /// to fall off.
    pub number: u32,
    /// How it is packed.
    pub packing: Packing,
}

impl Member {
    /// The live log.
    pub const LOG: Self = Self::plain(0);
    /// What the live log becomes.
    pub const NEWEST: Self = Self::plain(1);

    /// The number of an archive that falls off when the rotation has succeeded: no number in its name.
    pub const OUT: u32 = u32::MAX;
    /// The number of the newest archive as long as number 1 is taken: no number in its name.
    pub const WAITING: u32 = u32::MAX - 1;
    /// The highest number that an archive can have.
    pub const LAST: u32 = u32::MAX - 2;
    /// Stand in place of a number.
    pub(super) const OUT_NAME: &str = "oldest";
    pub(super) const WAITING_NAME: &str = "newest";

    const fn plain(number: u32) -> Self {
        Self { number, packing: Packing::Plain }
    }

    /// The higher, the older.
    #[must_use]
    pub const fn age(self) -> u64 {
        match self.number {
            0 => 0,
            Self::WAITING => 1,
            number => number as u64 + 1,
        }
    }

    /// The same file under another number.
    #[must_use]
    pub const fn at(self, number: u32) -> Self {
        Self { number, ..self }
    }

    /// Its file name, for a log whose file name is `log`, without a template.
    #[must_use]
    pub fn name(self, log: &str) -> String {
        if self.number == 0 { log.to_owned() } else { Chained::plain(log).of(self) }
    }

    /// The archive that has this file name, unless the file is a stranger's or a template's. The live log is not an archive.
    #[must_use]
    pub fn parse(log: &str, name: &str) -> Option<Self> {
        Chained::plain(log).parse(name)
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.age(), self.packing).cmp(&(other.age(), other.packing))
    }
}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A file of a log. The order is from the newest to the oldest; if names were of the one kind first and then of the
/// other, those with numbers are taken for the older ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The live log.
    Log,
    /// An archive with a date.
    Dated(Reverse<Dated>),
    /// An archive with a number.
    Numbered(Member),
}

impl Standing {
    /// Which file of a log without templates has this name, unless it is a stranger's.
    #[must_use]
    pub fn of(log: &str, name: &str) -> Option<Self> {
        if name == log {
            return Some(Self::Log);
        }
        let dated = || Dated::parse(log, name).map(|dated| Self::Dated(Reverse(dated)));
        Member::parse(log, name).map(Self::Numbered).or_else(dated)
    }

    /// How its bytes are packed.
    #[must_use]
    pub fn packing(&self) -> Packing {
        match self {
            Self::Log => Packing::Plain,
            Self::Dated(Reverse(dated)) => dated.packing,
            Self::Numbered(member) => member.packing,
        }
    }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
