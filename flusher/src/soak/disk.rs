//! A small disk of a round's own, which can be filled up: a tmpfs in a mount namespace of this program, so
//! that nothing of it is left whatever becomes of us.

#![allow(unsafe_code)]

use crate::console::Failure;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CString;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Gives this thread and the processes it starts mounts of their own; the reason if that is not allowed. Their
/// shared memory is their own as well: others may clean up theirs, and nothing of ours is left.
pub fn own_mounts() -> Result<(), String> {
    // SAFETY: changes which mounts this process sees; no file descriptor and no memory.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
        .and_then(|()| mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC))
        .and_then(|()| mount("none", "/dev/shm", "tmpfs", MountFlags::empty(), c"size=256m,mode=1777"))
        .map_err(|e| format!("may not mount a small disk ({e}): run as root"))
}

/// A directory; with a size, a file system of that size.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Makes it.
    pub fn new(dir: &Path, bytes: Option<u64>) -> Result<Disk, Failure> {
        let failed = |e: String| Failure::failed(format!("{}: {e}", dir.display()));
        std::fs::create_dir(dir).map_err(|e| failed(e.to_string()))?;
        if let Some(bytes) = bytes {
            let size = CString::new(format!("size={bytes}")).map_err(Failure::failed)?;
            mount("none", dir, "tmpfs", MountFlags::empty(), size.as_c_str())
                .map_err(|e| failed(format!("cannot mount a tmpfs here: {e}")))?;
        }
        Ok(Disk { dir: dir.to_owned(), mounted: bytes.is_some() })
    }

    /// Whether it can be filled up without harm to others.
    pub fn can_be_filled(&self) -> bool {
        self.mounted
    }

    /// Takes all room that is left; true if there is none then.
    pub fn fill(&self) -> Result<bool, Failure> {
        let ballast = File::create(self.ballast()).map_err(Failure::failed)?;
        for _ in 0..100 {
            let free = statvfs(&self.dir).map_err(Failure::failed)?;
            let bytes = free.f_bavail * free.f_frsize;
            if bytes == 0 {
                return Ok(true);
            }
            let len = ballast.metadata().map_err(Failure::failed)?.len();
            match fallocate(&ballast, FallocateFlags::empty(), len, bytes) {
                Ok(()) | Err(Errno::NOSPC | Errno::INTR) => {}
                Err(e) => return Err(Failure::failed(format!("cannot fill the disk: {e}"))),
            }
        }
        Ok(false)
    }

    /// Gives the room back.
    pub fn empty(&self) {
        // There is none if it was not filled.
        let _ = std::fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = unmount(&self.dir, UnmountFlags::DETACH);
        }
    }
}
