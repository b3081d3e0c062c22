//! Names with a date: `<log>.<stamp>`, then `.1`, `.2` and so on if the stamp is taken, then `.gz` or `.zst`.
//!
//! **Order.** By stamp, and for the same stamp by number, the plain name being the oldest; numbers are compared
//! as numbers, so `.10` comes behind `.9` (`ls -v` agrees, `ls` does not). So names are in the order of time, with
//! two exceptions that no name in local time escapes: the minutes of an hour that the clock shows twice
//! alternate, and what was written before a clock was set back has the later name.
//!
//! **Invariant:** a new name is behind every existing one of its stamp. A number that became free because its file
//! was removed is not used again while a younger one exists: else the newest file would pass for the oldest,
//! and retention would remove it first.
use super::super::name::Packing;
use jiff::civil::{Date, DateTime, Time};

/// How much of a period's start its file is named after. The formats are those of Python's
/// `TimedRotatingFileHandler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// `%Y-%m-%d`
    Day,
    /// `%Y-%m-%d_%H`
    Hour,
    /// `%Y-%m-%d_%H-%M`
    Minute,
    /// `%Y-%m-%d_%H-%M-%S`
    Second,
}

impl Precision {
    /// That of a stamp.
    fn of(stamp: &str) -> Option<Self> {
        [Self::Day, Self::Hour, Self::Minute, Self::Second].into_iter().find(|p| p.made(stamp))
    }

    const fn len(self) -> usize {
        match self {
            Self::Day => 10,
            Self::Hour => 13,
            Self::Minute => 16,
            Self::Second => 19,
        }
    }

    /// The stamp of a period that begins then.
    #[must_use]
    pub fn stamp(self, start: DateTime) -> String {
        let mut stamp = start.strftime("%Y-%m-%d_%H-%M-%S").to_string();
        stamp.truncate(self.len());
        stamp
    }

    /// Whether [`Precision::stamp`] could have made it.
    fn made(self, stamp: &str) -> bool {
        let shape = "dddd-dd-dd_dd-dd-dd".get(..self.len()).unwrap_or_default();
        let fits =
            |(shape, byte): (u8, u8)| if shape == b'd' { byte.is_ascii_digit() } else { shape == byte };
        let shaped = stamp.len() == shape.len() && shape.bytes().zip(stamp.bytes()).all(fits);
        let number = |at: usize| stamp.get(at..at + 2).map_or(Some(0), |digits| digits.parse::<i8>().ok());
        let real = || {
            let year = stamp.get(..4)?.parse().ok()?;
            Date::new(year, number(5)?, number(8)?).ok()?;
            Time::new(number(11)?, number(14)?, number(17)?, 0).ok()
        };
        shaped && real().is_some()
    }
}

/// An archive with a date. The order is that of age, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dated {
    /// The start of its period.
    pub stamp: String,
    /// 0 for the first file of that stamp.
    pub copy: u32,
    /// How it is packed.
    pub packing: Packing,
}

impl Dated {
    /// The file name, for a log whose file name is `log`.
    #[must_use]
    pub fn name(&self, log: &str) -> String {
        let ending = self.packing.ending();
        match self.copy {
            0 => format!("{log}.{}{ending}", self.stamp),
            copy => format!("{log}.{}.{copy}{ending}", self.stamp),
        }
    }

    /// The archive that has this file name, unless the file is a stranger's. Exactly the names that
    /// [`Dated::name`] makes are recognized, of any precision: it may have been another one before.
    #[must_use]
    pub fn parse(log: &str, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(log)?.strip_prefix('.')?;
        let (rest, packing) = Packing::strip(rest);
        let (stamp, copy) = match rest.split_once('.') {
            Some((stamp, copy)) => (stamp, Some(copy)),
            None => (rest, None),
        };
        let ours = |copy: &str| copy.bytes().all(|byte| byte.is_ascii_digit()) && !copy.starts_with('0');
        let copy = match copy {
            Some(copy) => Some(copy).filter(|copy| ours(copy))?.parse().ok()?,
            None => 0,
        };
        let dated = Self { stamp: stamp.to_owned(), copy, packing };
        Some(dated).filter(|dated| Precision::of(&dated.stamp).is_some())
    }

    /// A name for the next file of this stamp, behind all that exist, packed or not. `None` if no number is left.
    #[must_use]
    pub fn next<'a>(stamp: &str, existing: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let same = existing.into_iter().filter(|other| other.stamp == stamp);
        let copy = match same.map(|other| other.copy).max() {
            Some(last) => last.checked_add(1)?,
            None => 0,
        };
        Some(Self { stamp: stamp.to_owned(), copy, packing: Packing::Plain })
    }
}

#[cfg(test)]
#[path = "stamp_tests.rs"]
#[allow(clippy::expect_used)]
mod tests;
