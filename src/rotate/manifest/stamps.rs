//! The highest number that each period's names ever had, so that none is given twice, also after its file was removed.
//!
//! **It does not grow for ever.** Of the periods without a file the youngest [`KEPT`] are remembered. Of all others two things
//! are: the youngest of them, and the highest number that any of them ever had. A period that is not older than that one and
//! not known any more, to which only a clock that was set back returns, goes on behind that highest number. So its
//! numbers may have gaps, but none is ever given again.
use std::collections::{BTreeMap, BTreeSet};

/// So many periods without a file are remembered one by one.
pub const KEPT: usize = 64;

/// Numbers that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    given: BTreeMap<String, u32>,
    forgotten: Option<(String, u32)>,
}

impl Stamps {
    /// The number was given to a file of that period.
    pub fn give(&mut self, stamp: &str, copy: u32) {
        // A period that comes back after it was forgotten goes on behind what it may have had.
        let last = self.last(stamp).map_or(copy, |last| last.max(copy));
        self.given.insert(stamp.to_owned(), last);
    }

    /// The highest number that the period may have had.
    #[must_use]
    pub fn last(&self, stamp: &str) -> Option<u32> {
        let forgotten = || self.forgotten.as_ref().filter(|(youngest, _)| stamp <= youngest.as_str());
        self.given.get(stamp).copied().or_else(|| forgotten().map(|(_, highest)| *highest))
    }

    /// The periods up to this one, as far as they are not given one by one, had no higher number than that.
    pub(super) fn note_forgotten(&mut self, stamp: &str, copy: u32) {
        let (youngest, highest) = self.forgotten.get_or_insert_with(|| (stamp.to_owned(), copy));
        if youngest.as_str() < stamp {
            stamp.clone_into(youngest);
        }
        *highest = copy.max(*highest);
    }

    /// Forgets the oldest of those that are not used.
    pub(super) fn forget(&mut self, used: &BTreeSet<&str>) {
        let unused: Vec<String> =
            self.given.keys().filter(|stamp| !used.contains(stamp.as_str())).cloned().collect();
        let many = unused.len().saturating_sub(KEPT);
        for stamp in unused.into_iter().take(many) {
            if let Some(copy) = self.given.remove(&stamp) {
                self.note_forgotten(&stamp, copy);
            }
        }
    }

    pub(super) fn given(&self) -> impl Iterator<Item = (&str, u32)> {
        self.given.iter().map(|(stamp, copy)| (stamp.as_str(), *copy))
    }

    pub(super) fn forgotten(&self) -> Option<(&str, u32)> {
        self.forgotten.as_ref().map(|(stamp, copy)| (stamp.as_str(), *copy))
    }
}
