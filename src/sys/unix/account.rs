//! Users and groups by their names.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;

/// More than this an entry does not have, even a group of thousands of members.
const ENTRY_MAX: usize = 16 << 20;

/// The number of a user; `None` if there is no such user.
pub fn user_id(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    // SAFETY: the closure hands the entry, the buffer with its length and the result on as they are.
    let ask = |entry: *mut libc::passwd, buffer: *mut libc::c_char, len, found: *mut *mut libc::passwd| unsafe {
        libc::getpwnam_r(name.as_ptr(), entry, buffer, len, found)
    };
    // SAFETY: `entry` was filled by the call above.
    look_up(ask, |entry: *const libc::passwd| unsafe { (*entry).pw_uid })
}

/// The number of a group; `None` if there is no such group.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    // SAFETY: as in `user_id`.
    let ask = |entry: *mut libc::group, buffer: *mut libc::c_char, len, found: *mut *mut libc::group| unsafe {
        libc::getgrnam_r(name.as_ptr(), entry, buffer, len, found)
    };
    // SAFETY: as in `user_id`.
    look_up(ask, |entry: *const libc::group| unsafe { (*entry).gr_gid })
}

/// Asks again with a larger buffer until the entry fits.
fn look_up<T>(
    ask: impl Fn(*mut T, *mut libc::c_char, usize, *mut *mut T) -> libc::c_int,
    id: impl Fn(*const T) -> u32,
) -> io::Result<Option<u32>> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<T>::uninit();
        let mut found = std::ptr::null_mut();
        match ask(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found) {
            0 if found.is_null() => return Ok(None),
            0 => return Ok(Some(id(found))),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < ENTRY_MAX => buffer.resize(buffer.len() * 4, 0),
            // What several systems say of a name that there is not.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}
