//! What the flusher says of its last failed action, for every process to read.
//!
//! A hint for people: it is stored word by word beside its errno ([`word::FLUSHER_ERROR`]), so a reader may see half of one
//! text and half of the next. Without a text (0 bytes), the errno alone speaks.

use super::layout::{FAULT_BYTES, FAULT_TEXT, FAULT_TEXT_LEN, word};
use super::mem::Mem;
use core::sync::atomic::Ordering::Relaxed;

/// Stores errno and text; a text that is too long is cut.
pub fn store<M: Mem>(mem: &M, errno: i32, text: &str) {
    let longest = text.len().min(FAULT_BYTES);
    let len = (0..=longest).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    mem.store(FAULT_TEXT_LEN, 0, Relaxed);
    for (i, bytes) in text.as_bytes().get(..len).unwrap_or_default().chunks(8).enumerate() {
        let mut word = [0; 8];
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        mem.store(FAULT_TEXT + 8 * i, u64::from_le_bytes(word), Relaxed);
    }
    mem.store(FAULT_TEXT_LEN, len as u64, Relaxed);
    mem.store(word::FLUSHER_ERROR, errno as u64, Relaxed);
}

/// Errno and text of the last failed action; `None` if all is well. The text is in one line.
pub fn load<M: Mem>(mem: &M) -> Option<(i32, String)> {
    let errno = mem.load(word::FLUSHER_ERROR, Relaxed) as i32;
    if errno == 0 {
        return None;
    }
    let len = usize::try_from(mem.load(FAULT_TEXT_LEN, Relaxed)).unwrap_or(0).min(FAULT_BYTES);
    let words = (0..len.div_ceil(8)).flat_map(|i| mem.load(FAULT_TEXT + 8 * i, Relaxed).to_le_bytes());
    let bytes: Vec<u8> = words.take(len).collect();
    let text = String::from_utf8_lossy(&bytes);
    Some((errno, text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()))
}
