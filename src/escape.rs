//! Records without what could forge a line or steer a terminal.
//!
//! **Constraints.** Pure, and no allocation but in [`Escape::whole`]: [`Escaped`] is written by signal handlers. What is escaped
//! has the form of Python's `repr`: `\n`, `\r`, `\x1b`, `\x85`, `\u2028`. A backslash stays as it is, so that JSON lines, which
//! have no control characters of their own, come through unchanged; therefore the original cannot be read back
//! from what was escaped. Which characters: CWE-117 (line breaks) and CWE-150 (terminal sequences); the line breaks are those
//! of Unicode's UAX #14 and Python's `str.splitlines`.

use crate::ring::append::Payload;
use crate::ring::mem::Mem;
use std::borrow::Cow;

/// What of a record is written as an escape sequence, such as `\x1b`, instead of as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Escape {
    /// Nothing: a record's bytes are written as they are.
    #[default]
    None,
    /// Control characters (U+0000 to U+001F, U+007F to U+009F, and bytes 0x80 to 0x9F that are not part of UTF-8), except tab
    /// and line feed: a record of several lines stays one.
    Controls,
    /// The same, and line breaks: line feed, U+2028 and U+2029. Each record is one line, and no record can look like two.
    Lines,
}

/// Longest escape sequence.
const SEQUENCE_MAX: usize = 6;

/// A stretch of a record.
enum Piece<'a> {
    Plain(&'a [u8]),
    Sequence([u8; SEQUENCE_MAX], usize),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Plain(bytes) => bytes,
            Piece::Sequence(bytes, len) => bytes.get(..*len).unwrap_or_default(),
        }
    }
}

impl Escape {
    /// True if some byte may have to be escaped; false is certain.
    fn may_touch(self, bytes: &[u8]) -> bool {
        let suspect = |b: &u8| match b {
            b'\t' => false,
            b'\n' => self == Escape::Lines,
            0x20..=0x7e => false,
            // In UTF-8, each longer character to be escaped has a byte from 0x80 to 0x9f.
            0xa0.. => false,
            _ => true,
        };
        self != Escape::None && bytes.iter().any(suspect)
    }

    /// The whole record; as it is if there is nothing to escape.
    pub(crate) fn whole(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        if !self.may_touch(bytes) {
            return Cow::Borrowed(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 8 + SEQUENCE_MAX);
        self.pieces(bytes, |piece| out.extend_from_slice(piece.bytes()));
        Cow::Owned(out)
    }

    fn pieces(self, bytes: &[u8], mut take: impl FnMut(Piece<'_>)) {
        for chunk in bytes.utf8_chunks() {
            let text = chunk.valid();
            let mut plain = 0;
            for (at, c) in text.char_indices() {
                if self.touches(c) {
                    take(Piece::Plain(text.get(plain..at).unwrap_or_default().as_bytes()));
                    take(sequence(c));
                    plain = at + c.len_utf8();
                }
            }
            take(Piece::Plain(text.get(plain..).unwrap_or_default().as_bytes()));
            for byte in chunk.invalid() {
                take(match byte {
                    0x80..=0x9f if self != Escape::None => sequence(char::from(*byte)),
                    _ => Piece::Plain(std::slice::from_ref(byte)),
                });
            }
        }
    }

    fn touches(self, c: char) -> bool {
        match c {
            _ if self == Escape::None => false,
            '\t' => false,
            '\n' | '\u{2028}' | '\u{2029}' => self == Escape::Lines,
            c => c.is_control(),
        }
    }
}

fn sequence(c: char) -> Piece<'static> {
    let hex = |nibble: u32| char::from_digit(nibble & 15, 16).map_or(b'?', |d| d as u8);
    let code = u32::from(c);
    let two = |letter| Piece::Sequence([b'\\', letter, 0, 0, 0, 0], 2);
    match c {
        '\n' => two(b'n'),
        '\r' => two(b'r'),
        _ if code <= 0xff => Piece::Sequence([b'\\', b'x', hex(code >> 4), hex(code), 0, 0], 4),
        _ => Piece::Sequence([b'\\', b'u', hex(code >> 12), hex(code >> 8), hex(code >> 4), hex(code)], 6),
    }
}

/// A record of one slice and a terminator, escaped while it is copied: for callers that may not allocate.
pub(crate) struct Escaped<'a> {
    bytes: &'a [u8],
    end: &'a [u8],
    escape: Escape,
    len: usize,
}

impl<'a> Escaped<'a> {
    pub(crate) fn new(escape: Escape, bytes: &'a [u8], end: &'a [u8]) -> Escaped<'a> {
        let mut len = end.len();
        escape.pieces(bytes, |piece| len += piece.bytes().len());
        Escaped { bytes, end, escape, len }
    }

    fn pieces(&self, mut take: impl FnMut(&[u8])) {
        self.escape.pieces(self.bytes, |piece| take(piece.bytes()));
        take(self.end);
    }
}

impl Payload for Escaped<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn copy<M: Mem>(&self, mem: &M, at: usize, from: usize, to: usize) {
        let (mut start, mut at) = (0, at);
        self.pieces(|bytes| {
            let part =
                from.clamp(start, start + bytes.len()) - start..to.clamp(start, start + bytes.len()) - start;
            start += bytes.len();
            if let Some(part) = bytes.get(part)
                && !part.is_empty()
            {
                mem.put(at, part);
                at += part.len();
            }
        });
    }

    fn checksum(&self, seed: u32) -> u32 {
        let mut crc = seed;
        self.pieces(|bytes| crc = crc32c::crc32c_append(crc, bytes));
        crc
    }
}

#[cfg(test)]
#[path = "escape_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
