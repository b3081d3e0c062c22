//! ZMTP 3, the protocol of ZeroMQ, as far as a PULL socket with the NULL mechanism speaks it
//! (<https://rfc.zeromq.org/spec/23/> and <https://rfc.zeromq.org/spec/37/>). Pure: bytes in, messages and bytes out.
//!
//! Whatever a peer sends, it costs no more memory than the longest record: a longer message is skipped while it
//! arrives, and counted; what is not ZMTP ends the conversation.

use std::fmt;

const GREETING: usize = 64;
/// Where the second byte of the signature, the version and the mechanism stand in the greeting.
const SIGNATURE_END: usize = 9;
const VERSION: usize = 10;
const MECHANISM: std::ops::Range<usize> = 12..32;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Commands are short: READY with some properties, PING.
const COMMAND_MAX: u64 = 8 * 1024;
/// A peer that does not read gets no more answers than this.
const REPLY_MAX: usize = 1024;
/// Memory of a long message is given back.
const KEPT: usize = 64 * 1024;
/// Between the parts of a message.
const BETWEEN: u8 = b' ';

/// Why a conversation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Something else than ZMTP.
    NotZmtp,
    /// Before version 3.
    Old(u8),
    /// Another one than NULL.
    Mechanism(String),
    /// A peer that is no PUSH socket.
    Socket(String),
    /// It began well.
    Broken(&'static str),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NotZmtp => write!(f, "it does not speak ZeroMQ"),
            Refused::Old(v) => {
                write!(f, "it speaks version {v} of ZMTP, which is too old: use ZeroMQ 4.0 or newer")
            }
            Refused::Mechanism(m) => {
                write!(f, "it asks for the security mechanism {m:?}, there is only NULL")
            }
            Refused::Socket(s) => write!(f, "it is a socket of type {s:?}, only PUSH fits"),
            Refused::Broken(what) => write!(f, "it broke the protocol: {what}"),
        }
    }
}

/// Messages that arrived whole.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Messages that were too long and are not among them.
    pub too_long: u64,
}

impl Batch {
    /// One slice for each message, without one line feed at its end.
    pub fn messages(&self) -> Vec<&[u8]> {
        let mut start = 0;
        let whole = self.ends.iter().map(|&end| &self.bytes[std::mem::replace(&mut start, end)..end]);
        whole.map(|m| m.strip_suffix(b"\n").unwrap_or(m)).collect()
    }

    /// Empty again.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(4 * KEPT);
        self.ends.clear();
        self.too_long = 0;
    }

    fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.ends.push(self.bytes.len());
    }
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Greeting,
    Header,
    Body { flags: u8, left: u64 },
}

/// One peer: what of its words is not complete yet.
#[derive(Debug)]
pub struct Peer {
    next: Next,
    ready: bool,
    /// The greeting, a header, or a command, as far as it is here.
    head: Vec<u8>,
    /// A message, as far as it is here.
    body: Vec<u8>,
    parts: u64,
    skipping: bool,
    max: usize,
}

/// What is sent to a peer at once, before it says anything.
pub fn hello() -> [u8; GREETING] {
    let mut greeting = [0; GREETING];
    greeting[0] = 0xff;
    greeting[SIGNATURE_END] = 0x7f;
    greeting[VERSION] = 3;
    greeting[VERSION + 1] = 1;
    greeting[MECHANISM][..4].copy_from_slice(b"NULL");
    greeting
}

impl Peer {
    /// For messages of at most `max` bytes, a line feed at the end not counted.
    pub fn new(max: usize) -> Peer {
        Peer {
            next: Next::Greeting,
            ready: false,
            head: Vec::new(),
            body: Vec::new(),
            parts: 0,
            skipping: false,
            max,
        }
    }

    /// Whether it has introduced itself.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether it has begun a message that is not complete.
    pub fn is_inside_a_message(&self) -> bool {
        let begun = match self.next {
            Next::Greeting => false,
            Next::Header => self.ready && self.head.first().is_some_and(|flags| flags & COMMAND == 0),
            Next::Body { flags, .. } => flags & COMMAND == 0,
        };
        begun || self.parts > 0
    }

    /// Bytes of memory for its message.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.body.capacity()
    }

    /// Takes the next bytes that this peer sent: messages go to `into`, what it is to be told to `reply`.
    pub fn take(&mut self, mut bytes: &[u8], into: &mut Batch, reply: &mut Vec<u8>) -> Result<(), Refused> {
        while !bytes.is_empty() {
            bytes = match self.next {
                Next::Greeting => self.greeting(bytes, reply)?,
                Next::Header => self.header(bytes, into)?,
                Next::Body { flags, left } if flags & COMMAND != 0 => self.command(left, bytes, reply)?,
                Next::Body { flags, left } => self.message(flags, left, bytes, into),
            };
        }
        Ok(())
    }

    /// Moves bytes to `head` until it has `whole` of them.
    fn fill<'a>(&mut self, whole: usize, bytes: &'a [u8]) -> &'a [u8] {
        let (these, rest) = bytes.split_at(bytes.len().min(whole.saturating_sub(self.head.len())));
        self.head.extend_from_slice(these);
        rest
    }

    fn greeting<'a>(&mut self, bytes: &'a [u8], reply: &mut Vec<u8>) -> Result<&'a [u8], Refused> {
        let rest = self.fill(GREETING, bytes);
        let head = &self.head;
        if head[0] != 0xff || head.get(SIGNATURE_END).is_some_and(|b| *b != 0x7f) {
            return Err(Refused::NotZmtp);
        }
        if let Some(version) = head.get(VERSION)
            && *version < 3
        {
            return Err(Refused::Old(*version));
        }
        if head.len() == GREETING {
            let mechanism = head[MECHANISM].trim_ascii_end();
            let mechanism = mechanism.split(|b| *b == 0).next().unwrap_or_default();
            if mechanism != b"NULL" {
                return Err(Refused::Mechanism(readable(mechanism)));
            }
            put_command(reply, &[b"\x05READY", b"\x0bSocket-Type", &4u32.to_be_bytes(), b"PULL"]);
            self.begin_frame();
        }
        Ok(rest)
    }

    fn begin_frame(&mut self) {
        self.head.clear();
        self.next = Next::Header;
    }

    /// Flags, and a size of one or of eight bytes.
    fn header<'a>(&mut self, bytes: &'a [u8], into: &mut Batch) -> Result<&'a [u8], Refused> {
        let flags = *self.head.first().unwrap_or(&bytes[0]);
        if flags & !(MORE | LONG | COMMAND) != 0 || flags & (COMMAND | MORE) == COMMAND | MORE {
            return Err(Refused::Broken("a frame with flags that do not exist"));
        }
        if !self.ready && flags & COMMAND == 0 {
            return Err(Refused::Broken("a message before it said what it is"));
        }
        let rest = self.fill(if flags & LONG == 0 { 2 } else { 9 }, bytes);
        let left = match self.head[1..] {
            [size] if flags & LONG == 0 => u64::from(size),
            [a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return Ok(rest),
        };
        if left > i64::MAX as u64 {
            return Err(Refused::Broken("a frame with an impossible size"));
        }
        if flags & COMMAND != 0 && (left == 0 || left > COMMAND_MAX) {
            return Err(Refused::Broken("a command with an impossible size"));
        }
        self.head.clear();
        self.next = Next::Body { flags, left };
        if flags & COMMAND == 0 {
            self.begin_part(flags, left, into);
        }
        Ok(rest)
    }

    fn begin_part(&mut self, flags: u8, size: u64, into: &mut Batch) {
        if self.parts > 0 {
            self.keep(&[BETWEEN]);
        }
        self.parts += 1;
        // Nothing is kept of what is too long, and no part is longer than it says. One more byte may be a line feed.
        if (self.body.len() as u64).saturating_add(size) > self.max as u64 + 1 {
            self.skipping = true;
            self.forget();
        }
        if size == 0 {
            self.end_part(flags, into);
        }
    }

    fn message<'a>(&mut self, flags: u8, left: u64, bytes: &'a [u8], into: &mut Batch) -> &'a [u8] {
        let now = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let (these, rest) = bytes.split_at(now);
        self.keep(these);
        let left = left - now as u64;
        self.next = Next::Body { flags, left };
        if left == 0 {
            self.end_part(flags, into);
        }
        rest
    }

    fn end_part(&mut self, flags: u8, into: &mut Batch) {
        self.begin_frame();
        if flags & MORE != 0 {
            return;
        }
        // The same limit for both: a last byte that is no line feed is one too much.
        let length = self.body.len() - usize::from(self.body.ends_with(b"\n"));
        if self.skipping || length > self.max {
            into.too_long += 1;
        } else {
            into.push(&self.body);
        }
        self.forget();
        self.skipping = false;
        self.parts = 0;
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.skipping {
            self.body.extend_from_slice(bytes);
        }
    }

    fn forget(&mut self) {
        self.body.clear();
        self.body.shrink_to(KEPT);
    }

    fn command<'a>(&mut self, left: u64, bytes: &'a [u8], reply: &mut Vec<u8>) -> Result<&'a [u8], Refused> {
        let size = usize::try_from(left).unwrap_or(usize::MAX);
        let rest = self.fill(size, bytes);
        if self.head.len() == size {
            let command = std::mem::take(&mut self.head);
            self.obey(&command, reply)?;
            self.begin_frame();
        }
        Ok(rest)
    }

    fn obey(&mut self, command: &[u8], reply: &mut Vec<u8>) -> Result<(), Refused> {
        let (name, body) = short(command).ok_or(Refused::Broken("a command without a name"))?;
        match (name, self.ready) {
            (b"READY", false) => {
                let socket = socket_type(body)?;
                if !socket.eq_ignore_ascii_case(b"PUSH") {
                    let reason = b"\x1fonly PUSH sockets can send here";
                    put_command(reply, &[b"\x05ERROR", reason]);
                    return Err(Refused::Socket(readable(socket)));
                }
                self.ready = true;
            }
            (b"READY", true) => return Err(Refused::Broken("it said twice what it is")),
            (b"ERROR", _) => return Err(Refused::Broken("it found an error of ours")),
            (_, false) => return Err(Refused::Broken("a command before it said what it is")),
            // A time to live of two bytes, then at most 16 bytes that it wants to have back.
            (b"PING", true) if reply.len() < REPLY_MAX => {
                let context = body.get(2..).unwrap_or_default();
                put_command(reply, &[b"\x04PONG", context.get(..16).unwrap_or(context)]);
            }
            // Commands of later versions, and those of subscribers, mean nothing here.
            (_, true) => {}
        }
        Ok(())
    }
}

fn put_command(reply: &mut Vec<u8>, parts: &[&[u8]]) {
    let size: usize = parts.iter().map(|p| p.len()).sum();
    reply.extend([COMMAND, u8::try_from(size).unwrap_or(u8::MAX)]);
    parts.iter().for_each(|p| reply.extend_from_slice(p));
}

/// Bytes after one byte that says how many, and the rest.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*size))
}

/// The same after four bytes.
fn long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*size)).ok()?)
}

fn socket_type(mut properties: &[u8]) -> Result<&[u8], Refused> {
    let broken = Refused::Broken("properties that cannot be read");
    while !properties.is_empty() {
        let (name, rest) = short(properties).ok_or_else(|| broken.clone())?;
        let (value, rest) = long(rest).ok_or_else(|| broken.clone())?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            return Ok(value);
        }
        properties = rest;
    }
    Err(Refused::Broken("it does not say what it is"))
}

fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..20).unwrap_or(bytes)).into_owned()
}
