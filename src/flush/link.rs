//! The driver's hands on the link that points to the current log file.
//!
//! At a take-over, after a rotation and when it was configured anew: it is a matter of two system calls if it is right.
//!
//! | found | done |
//! |---|---|
//! | nothing | it is made |
//! | a link to a file of this log | it is replaced, at once |
//! | a link to something else, a file, a directory | left alone; told once, and looked at again at the next occasion |
//! | it cannot be made (rights, disk full) | told once; likewise. The log goes on |

use super::{Event, Flusher, Kind};
use crate::sys;
use std::io;
use std::path::{Component, Path, PathBuf};

impl Flusher<'_> {
    /// Makes the link right, if there is to be one.
    pub(super) fn keep_link(&mut self) {
        let Some(link) = self.config.link.as_deref().filter(|_| self.kind != Kind::Helper) else { return };
        let link = match sys::in_real_parent(Path::new(link)) {
            Ok(link) => link,
            Err(e) => return self.link_failed(&e),
        };
        let name = self.live_name();
        let target =
            if link.parent() == Some(&self.at.dir) { PathBuf::from(name) } else { self.at.dir.join(name) };
        // Where it points to, as it is written: the target need not be there.
        let is_ours = |old: &Path| {
            let old = link.parent().unwrap_or(Path::new("/")).join(old);
            let plain = !old.components().any(|part| part == Component::ParentDir);
            let file = old.file_name().and_then(|n| n.to_str());
            plain
                && old.parent() == Some(&self.at.dir)
                && file.is_some_and(|n| self.naming.standing(n).is_some())
        };
        let done = if link == self.at.log_path && !self.config.policy.direct {
            Err(itself())
        } else {
            sys::point(&link, &target, is_ours)
        };
        match done {
            Ok(_) => self.link_told = false,
            Err(e) => self.link_failed(&e),
        }
    }

    fn link_failed(&mut self, e: &io::Error) {
        if !std::mem::replace(&mut self.link_told, true) {
            let link = self.config.link.as_deref().unwrap_or_default();
            let what = format!("cannot point {link} to {}: {e}", self.at.log_path.display());
            (self.tell)(Event::LinkFailed { what, errno: e.raw_os_error().unwrap_or(0) });
        }
    }
}

fn itself() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is the log itself")
}
