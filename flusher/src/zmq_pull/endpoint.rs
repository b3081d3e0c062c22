//! Where to listen, as it is typed. Pure.

use std::fmt;
use std::path::PathBuf;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Address or name, and port; port 0 is any free one.
    Tcp(String, u16),
    /// A socket in the file system.
    Ipc(PathBuf),
}

/// The longest path that fits into a socket's address, with its NUL.
const PATH_MAX: usize = 107;

/// Reads `tcp://ADDRESS:PORT` or `ipc://PATH`.
pub fn parse(text: &str) -> Result<Endpoint, String> {
    if let Some(rest) = text.strip_prefix("tcp://") {
        let (host, port) = rest.rsplit_once(':').ok_or("a port is missing: tcp://ADDRESS:PORT")?;
        let port = if port == "*" { "0" } else { port };
        let port = port.parse().map_err(|_| format!("{port:?} is no port: 0 to 65535"))?;
        return match host {
            "" => Err("an address is missing: tcp://127.0.0.1:PORT, or tcp://*:PORT for all".to_string()),
            "*" => Ok(Endpoint::Tcp("0.0.0.0".to_string(), port)),
            host => Ok(Endpoint::Tcp(bare(host)?.to_string(), port)),
        };
    }
    match text.strip_prefix("ipc://") {
        Some("" | "*") => Err("a path is missing: ipc://PATH".to_string()),
        Some(path) if path.starts_with('@') => {
            Err("abstract names are not possible: use a path in the file system".to_string())
        }
        Some(path) if path.len() > PATH_MAX => {
            Err(format!("a path of {} bytes is too long for a socket: at most {PATH_MAX}", path.len()))
        }
        Some(path) => Ok(Endpoint::Ipc(path.into())),
        None => Err("use tcp://ADDRESS:PORT or ipc://PATH".to_string()),
    }
}

/// Without the brackets of an IPv6 address.
fn bare(host: &str) -> Result<&str, String> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| format!("{host:?} has no closing bracket")),
        None if host.contains(':') => Err(format!("an IPv6 address needs brackets: tcp://[{host}]:PORT")),
        None => Ok(host),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(host, port) if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Endpoint::Tcp(host, port) => write!(f, "tcp://{host}:{port}"),
            Endpoint::Ipc(path) => write!(f, "ipc://{}", path.display()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_zeromq_writes_them() {
        let tcp = |host: &str, port| Ok(Endpoint::Tcp(host.to_string(), port));
        assert_eq!(parse("tcp://127.0.0.1:5555"), tcp("127.0.0.1", 5555));
        assert_eq!(parse("tcp://*:5555"), tcp("0.0.0.0", 5555));
        assert_eq!(parse("tcp://[::1]:*"), tcp("::1", 0));
        assert_eq!(parse("tcp://[::1]:7").unwrap().to_string(), "tcp://[::1]:7");
        assert_eq!(parse("ipc:///run/log.sock"), Ok(Endpoint::Ipc("/run/log.sock".into())));
        assert_eq!(parse("ipc://log.sock").unwrap().to_string(), "ipc://log.sock");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_what_to_do() {
        for (text, says) in [
            ("127.0.0.1:5555", "use tcp://ADDRESS:PORT or ipc://PATH"),
            ("udp://127.0.0.1:5555", "use tcp://"),
            ("tcp://127.0.0.1", "a port is missing"),
            ("tcp://127.0.0.1:70000", "no port"),
            ("tcp://:5555", "an address is missing"),
            ("tcp://::1:5555", "needs brackets"),
            ("tcp://[::1:5555", "closing bracket"),
            ("ipc://", "a path is missing"),
            ("ipc://@name", "abstract"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(says), "{text}: {said:?} does not say {says:?}");
        }
        assert!(parse(&format!("ipc:///{}", "x".repeat(107))).unwrap_err().contains("too long"));
    }
}
