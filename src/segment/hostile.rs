//! Any bytes as the first page of a segment.
#![allow(clippy::expect_used)]

use super::header::{PAGE, parse};
use crate::ring::layout::{Geometry, LAYOUT_VERSION, MAGIC, header as at};

/// Reads them as a header, and reads again what is written of it. Bit 0 of the first byte has what guards a header
/// (magic, version, checksum) made right first, so that the rest is reached; bit 1 the segment's length, too. True
/// if it was sound.
pub fn header(input: &[u8]) -> bool {
    let Some((first, bytes)) = input.split_first() else { return parse(&[]).is_ok() };
    let mut page = bytes.to_vec();
    if first & 1 != 0 {
        page.resize(PAGE, 0);
        put(&mut page, at::MAGIC, MAGIC);
        put(&mut page, at::VERSION, u64::from(LAYOUT_VERSION) | 64 << 32);
        if first & 2 != 0
            && let Some(geometry) = sizes(&page)
        {
            put(&mut page, at::SEGMENT_BYTES, geometry.segment_bytes() as u64);
        }
        let crc = crc32c::crc32c(&page[at::VERSION..at::CRC]);
        page[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_le_bytes());
    }
    let Ok(header) = parse(&page) else { return false };
    assert!(header.path.len() <= at::PATH_MAX);
    let again = parse(&header.encode()).expect("what we write is sound");
    assert_eq!(again, header);
    true
}

fn put(page: &mut [u8], at: usize, value: u64) {
    page[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// The sizes that a page gives, if they are possible.
fn sizes(page: &[u8]) -> Option<Geometry> {
    let half = |at: usize| page[at..at + 4].iter().rev().fold(0u32, |n, b| n << 8 | u32::from(*b));
    Geometry::new(half(at::COUNTS), half(at::COUNTS + 4), half(at::CHUNK))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header that is right where the guards do not make it so.
    fn page(segment_bytes: u64) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        put(&mut page, at::SEGMENT_BYTES, segment_bytes);
        put(&mut page, at::COUNTS, 4 | 8 << 32);
        put(&mut page, at::CHUNK, 256);
        page
    }

    #[test]
    fn the_rest_of_a_header_is_reached_and_checked() {
        let right = Geometry::new(4, 8, 256).map_or(0, |g| g.segment_bytes() as u64);
        let of = |first: u8, n: u64| header(&[vec![first], page(n)].concat());
        assert!(of(1, right));
        assert!(!of(1, right + 8) && !of(0, right) && of(3, 0));
    }
}
