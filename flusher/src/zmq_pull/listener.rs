//! Sockets that peers connect to.

use super::endpoint::Endpoint;
use crate::console::Failure;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that listens. On drop, the file of an ipc socket is removed.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A socket in the file system; its file, if it is still the same.
    Ipc(UnixListener, SocketFile),
}

/// The file of a socket, with what tells it from another one of the same name.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    made: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at this place.
    pub fn bind(endpoint: &Endpoint) -> Result<Listener, Failure> {
        Listener::try_bind(endpoint).map_err(|e| Failure::failed(format!("cannot listen at {endpoint}: {e}")))
    }

    fn try_bind(endpoint: &Endpoint) -> io::Result<Listener> {
        match endpoint {
            Endpoint::Tcp(host, port) => {
                let listener = TcpListener::bind((host.as_str(), *port))?;
                listener.set_nonblocking(true)?;
                Ok(Listener::Tcp(listener))
            }
            Endpoint::Ipc(path) => {
                remove_abandoned(path)?;
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                Ok(Listener::Ipc(listener, SocketFile { made: identity(path), path: path.clone() }))
            }
        }
    }

    /// A peer that has connected, without blocking, if there is one.
    pub fn accept(&self) -> io::Result<OwnedFd> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
            Listener::Ipc(listener, _) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
        }
    }

    /// Where it listens: with the port that the system chose.
    pub fn place(&self) -> String {
        match self {
            Listener::Tcp(listener) => match listener.local_addr() {
                Ok(address) => format!("tcp://{address}"),
                Err(e) => format!("tcp (address unknown: {e})"),
            },
            Listener::Ipc(_, file) => Endpoint::Ipc(file.path.clone()).to_string(),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Ipc(listener, _) => listener.as_fd(),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.made.is_some() && identity(&self.path) == self.made {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|m| (m.dev(), m.ino()))
}

/// Removes the file of a socket at which nobody listens any more: a killed process leaves it.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let is_socket = path.symlink_metadata().is_ok_and(|m| m.file_type().is_socket());
    let refused = |e: io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(refused) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
