//! Records that tell whether they are whole: `p00017 s0000000123 l0096 <text>`.
//!
//! `p` is the incarnation of a process (one that was killed and started again is another), `s` the
//! number of the record in it, `l` its length. All bytes follow from these and the seed of the run,
//! so that a reader can make each record again and compare.

use super::rng::{Rng, mix};
use super::story;
use std::io::Write;

/// Bytes before the text, and the shortest record.
pub const HEADER_BYTES: usize = 25;
/// Largest number of an incarnation: five digits.
pub const INCARNATIONS: u32 = 100_000;

const SYMBOLS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";

/// What the text of the records is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Letters without meaning; records of `min` to `max` bytes in all.
    Filler {
        /// Shortest record.
        min: u64,
        /// Longest record.
        max: u64,
    },
    /// Lines like those of a web site's programs; process `p` of `processes` is always the same one.
    Story {
        /// Number of processes at once.
        processes: u32,
    },
}

/// Makes records, for those who write them and for those who check them.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    /// Seed of the run.
    pub seed: u64,
    /// What they say.
    pub text: Text,
}

impl Maker {
    /// Record `seq` of incarnation `id`, in place of what is in `out`.
    pub fn make(&self, id: u32, seq: u64, out: &mut Vec<u8>) {
        let mut rng = Rng::new(self.seed ^ mix(u64::from(id) << 40 ^ seq));
        out.clear();
        match self.text {
            Text::Filler { min, max } => {
                let length = rng.between(min, max) as usize;
                header(id, seq, length, out);
                fill(&mut rng, length, out);
            }
            Text::Story { processes } => {
                let line = story::line(id % processes, seq, &mut rng);
                header(id, seq, HEADER_BYTES + line.len(), out);
                out.extend_from_slice(line.as_bytes());
            }
        }
    }
}

fn header(id: u32, seq: u64, length: usize, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "p{id:05} s{seq:010} l{length:04} ");
}

fn fill(rng: &mut Rng, length: usize, out: &mut Vec<u8>) {
    while out.len() < length {
        let mut bits = rng.draw();
        for _ in 0..10.min(length - out.len()) {
            out.push(SYMBOLS[(bits & 63) as usize]);
            bits >>= 6;
        }
    }
    out.truncate(length);
}

/// Incarnation, number and length, if the line begins like a record.
pub fn parse(line: &[u8]) -> Option<(u32, u64, usize)> {
    let mut words = line.splitn(4, |b| *b == b' ');
    let mut number = |mark: u8, digits: usize| -> Option<u64> {
        let (first, rest) = words.next()?.split_first()?;
        let digits_only = rest.len() >= digits && rest.iter().all(u8::is_ascii_digit);
        (*first == mark && digits_only).then(|| std::str::from_utf8(rest).ok()?.parse().ok()).flatten()
    };
    let id = u32::try_from(number(b'p', 5)?).ok()?;
    let seq = number(b's', 10)?;
    let length = usize::try_from(number(b'l', 4)?).ok()?;
    words.next()?;
    Some((id, seq, length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_made_again_from_its_header() {
        for text in [Text::Filler { min: 32, max: 20_000 }, Text::Story { processes: 4 }] {
            let maker = Maker { seed: 3, text };
            let (mut record, mut again) = (Vec::new(), Vec::new());
            for (id, seq) in (0..40).map(|n| (n * 7, u64::from(n) * 1000)) {
                maker.make(id, seq, &mut record);
                let (id, seq, length) = parse(&record).unwrap();
                assert_eq!(length, record.len());
                assert!(!record.contains(&b'\n'));
                maker.make(id, seq, &mut again);
                assert_eq!(record, again);
            }
        }
    }

    #[test]
    fn the_form_is_as_documented() {
        let mut record = Vec::new();
        Maker { seed: 1, text: Text::Filler { min: 96, max: 96 } }.make(17, 123, &mut record);
        assert!(record.starts_with(b"p00017 s0000000123 l0096 "));
        for bad in
            ["", "p00017", "p00017 s123 l0096 x", "q00017 s0000000123 l0096 x", "p00017 s0000000123 l0096"]
        {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
