//! Order numbers of the records in a file: the lowest and the highest, as far as they are known.
//!
//! The order number of a record is its key: what the word ORDER of its segment was when it was taken, from 0 on. A record whose
//! writer paused between taking the number and committing is written later than its number says, so the lowest need not be
//! the first record's, nor the highest the last one's.

/// Of all records in a file. The default: there is none yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    lowest: u64,
    /// One above the highest. 0 with `lowest` 0: no record; not above `lowest` otherwise: not known.
    end: u64,
}

impl Numbers {
    /// There may be records of which nothing is known.
    pub const UNKNOWN: Numbers = Numbers { lowest: u64::MAX, end: 0 };

    /// Of a file that is begun with so many bytes in it, or was found with so many and not as it was left.
    pub fn found_with(bytes: u64) -> Numbers {
        if bytes == 0 { Numbers::default() } else { Numbers::UNKNOWN }
    }

    /// One more record.
    #[inline]
    pub fn add(&mut self, key: u64) {
        let one = key.checked_add(1).map_or(Numbers::UNKNOWN, |end| Numbers { lowest: key, end });
        *self = self.with(one);
    }

    /// Those of both.
    #[inline]
    #[must_use]
    pub fn with(self, more: Numbers) -> Numbers {
        if self == Numbers::default() {
            more
        } else if more == Numbers::default() {
            self
        } else if self.known().is_none() || more.known().is_none() {
            Numbers::UNKNOWN
        } else {
            Numbers { lowest: self.lowest.min(more.lowest), end: self.end.max(more.end) }
        }
    }

    /// The lowest and the highest; `None` if there is no record, or if they are not known.
    #[inline]
    pub fn known(self) -> Option<(u64, u64)> {
        (self.end > self.lowest).then(|| (self.lowest, self.end - 1))
    }

    pub(super) fn words(self) -> [u64; 2] {
        [self.lowest, self.end]
    }

    pub(super) fn from_words([lowest, end]: [u64; 2]) -> Numbers {
        Numbers { lowest, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[u64]) -> Numbers {
        let mut numbers = Numbers::default();
        keys.iter().for_each(|key| numbers.add(*key));
        numbers
    }

    #[test]
    fn the_lowest_and_the_highest_are_known_in_whatever_order_they_come() {
        assert_eq!(of(&[]).known(), None);
        assert_eq!(of(&[0]).known(), Some((0, 0)));
        assert_eq!(of(&[7, 3, 9, 4]).known(), Some((3, 9)));
        assert_eq!(of(&[5, 6]).with(of(&[2])).known(), Some((2, 6)));
        assert_eq!(of(&[5]).with(of(&[])), of(&[5]));
        assert_eq!(of(&[]).with(of(&[5])), of(&[5]));
    }

    #[test]
    fn what_is_not_known_does_not_become_known_by_more_records() {
        for unknown in [Numbers::UNKNOWN, Numbers::found_with(1), of(&[u64::MAX]), of(&[1, u64::MAX, 2])] {
            assert_eq!(unknown.known(), None);
            assert_eq!(unknown.with(of(&[1])).known(), None);
            assert_eq!(of(&[1]).with(unknown).known(), None);
            assert_eq!(unknown.with(Numbers::default()).known(), None);
        }
        assert_eq!(Numbers::found_with(0).with(of(&[1])).known(), Some((1, 1)));
    }

    #[test]
    fn words_that_nobody_could_have_written_are_not_known() {
        for words in [[5, 5], [5, 1], [1, 0], [u64::MAX, 0]] {
            assert_eq!(Numbers::from_words(words).with(of(&[9])).known(), None);
        }
        for numbers in [of(&[]), of(&[3, 8]), Numbers::UNKNOWN] {
            assert_eq!(Numbers::from_words(numbers.words()), numbers);
        }
    }
}
