//! A stream of bytes cut into lines, in a buffer that is read into directly. Pure: no input, no output.

const FIRST_ROOM: usize = 256 * 1024;

/// Bytes on their way from reads of any size to lines of at most `max` bytes.
///
/// A longer line is not cut: it is left out as a whole, and counted.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that hold the beginning of a line whose end is still to come.
    held: usize,
    max: usize,
    skipping: bool,
    too_long: u64,
}

impl Lines {
    /// For lines of at most `max` bytes, the line feed not counted.
    pub fn new(max: usize) -> Lines {
        Lines { buffer: vec![0; FIRST_ROOM], held: 0, max, skipping: false, too_long: 0 }
    }

    /// Where the next bytes are to be read to; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        if self.held == self.buffer.len() {
            self.buffer.resize(self.held * 2, 0);
        }
        &mut self.buffer[self.held..]
    }

    /// Lines that were longer than the maximum.
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    /// Takes note of `count` bytes read into [`room`](Lines::room), and passes on all lines that
    /// are complete now, without their line feeds.
    pub fn take<E>(&mut self, count: usize, pass: impl FnOnce(&[&[u8]]) -> Result<(), E>) -> Result<(), E> {
        let end = self.held + count;
        let mut lines = Vec::new();
        let mut start = 0;
        for feed in memchr::memchr_iter(b'\n', &self.buffer[self.held..end]) {
            let feed = self.held + feed;
            if self.skipping {
                self.skipping = false;
            } else if feed - start > self.max {
                self.too_long += 1;
            } else {
                lines.push(&self.buffer[start..feed]);
            }
            start = feed + 1;
        }
        let passed = if lines.is_empty() { Ok(()) } else { pass(&lines) };
        self.hold(start, end);
        passed
    }

    /// The line that the end of the input left without a line feed, if there is one.
    pub fn last(&mut self) -> Option<&[u8]> {
        let length = std::mem::take(&mut self.held);
        if length > self.max {
            self.too_long += 1;
            return None;
        }
        (length > 0).then(|| &self.buffer[..length])
    }

    fn hold(&mut self, start: usize, end: usize) {
        self.held = end - start;
        if !self.skipping && self.held > self.max {
            self.too_long += 1;
            self.skipping = true;
        }
        if self.skipping {
            self.held = 0;
        } else if start > 0 {
            self.buffer.copy_within(start..end, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(input: &[u8], reads: usize, max: usize) -> (Vec<Vec<u8>>, u64) {
        let mut lines = Lines::new(max);
        let mut out = Vec::new();
        for part in input.chunks(reads) {
            lines.room()[..part.len()].copy_from_slice(part);
            let all = |l: &[&[u8]]| {
                out.extend(l.iter().map(|l| l.to_vec()));
                Ok::<_, ()>(())
            };
            assert!(lines.take(part.len(), all).is_ok());
        }
        out.extend(lines.last().map(<[u8]>::to_vec));
        (out, lines.too_long())
    }

    #[test]
    fn lines_do_not_depend_on_how_they_are_read() {
        let input = b"one\n\ntwo\r\nthree three three\nlast";
        let want: Vec<Vec<u8>> =
            [&b"one"[..], b"", b"two\r", b"three three three", b"last"].iter().map(|l| l.to_vec()).collect();
        for reads in 1..=input.len() {
            assert_eq!(cut(input, reads, 17), (want.clone(), 0), "reads of {reads}");
        }
    }

    #[test]
    fn a_line_too_long_is_left_out_whole_and_counted_once() {
        let input = b"ok\n123456789\nfine\n12345678901234567890\n12345\n123456";
        for reads in 1..=input.len() {
            let (lines, too_long) = cut(input, reads, 5);
            assert_eq!(lines, [&b"ok"[..], b"fine", b"12345"], "reads of {reads}");
            assert_eq!(too_long, 3, "reads of {reads}");
        }
    }

    #[test]
    fn a_line_longer_than_the_first_buffer_is_kept() {
        let mut input = vec![b'x'; 3 * FIRST_ROOM];
        input.extend(b"\nshort\n");
        let (lines, too_long) = cut(&input, 65536, 4 * FIRST_ROOM);
        assert_eq!((lines.len(), lines[0].len(), too_long), (2, 3 * FIRST_ROOM, 0));
    }
}
