//! The manifest as text: one line for each thing that is known.
//!
//! ```text
//! 0b1c9a3f crlog-manifest 1
//! ........ next 58
//! ........ names %7Bstem%7D.%7Bseq%7D%7Bext%7D
//! ........ forgotten 2026-04-01 3
//! ........ stamp 2026-05-01 2
//! ........ period 1777593600 1777680000
//! ........ file 57 archived SEGMENT FILE FIRST-LAST BEGUN-ENDED 2026-05-01:2 DEV:INO:BORN:BYTES:NAME -
//! ```
//!
//! Each begins with the CRC-32C of what follows the blank, in 8 hexadecimal digits. `docs/format.md` has the details.
//! A line is believed only if it is, byte for byte, what we would write for what we have read in it.
use super::{Entry, Form, Manifest, Name, Serial, Stamped, State};
use crate::sys::FileId;
use std::fmt::Write;

/// Version of the format: version 1 knew no templates, version 2 no period.
pub const VERSION: u32 = 3;
const FIRST_VERSION: u32 = 1;
const HEADER: &str = "crlog-manifest";

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// What the lines say.
    pub manifest: Manifest,
    /// Lines that were believed.
    pub lines: u64,
    /// Lines that were not.
    pub damaged: u64,
}

/// The file is of a version that we do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest is of version {0}, and this program knows only {VERSION}")]
pub struct OtherVersion(pub u32);

enum Line {
    Header(u32),
    Next(u64),
    Names(String),
    Forgotten(Stamped),
    Stamp(Stamped),
    Period(i64, i64),
    File(Box<Entry>),
}

impl Manifest {
    /// Reads a file, of which any part may be missing or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Loaded, OtherVersion> {
        let mut loaded = Loaded::default();
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            match read(line) {
                Some(Line::Header(version)) if !(FIRST_VERSION..=VERSION).contains(&version) => {
                    return Err(OtherVersion(version));
                }
                Some(line) => {
                    loaded.manifest.take(line);
                    loaded.lines += 1;
                }
                None => loaded.damaged += 1,
            }
        }
        Ok(loaded)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Header(_) => {}
            Line::Next(next) => self.last = self.last.max(next.saturating_sub(1)),
            Line::Names(template) => drop(self.learn(&template)),
            Line::Forgotten(s) => self.stamps.note_forgotten(&s.stamp, s.copy),
            Line::Stamp(s) => self.stamps.give(&s.stamp, s.copy),
            Line::Period(from, until) => self.set_period(from, until),
            Line::File(entry) => self.apply(&entry),
        }
    }

    /// All of it, as a file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&Line::Header(VERSION), &mut out);
        put(&Line::Next(self.last.saturating_add(1)), &mut out);
        for template in self.templates() {
            put(&Line::Names(template.to_owned()), &mut out);
        }
        let stamped = |(stamp, copy): (&str, u32)| Stamped { stamp: stamp.to_owned(), copy };
        // Those that are known come first: what was forgotten has no bearing on them.
        for s in self.stamps.given() {
            put(&Line::Stamp(stamped(s)), &mut out);
        }
        if let Some(s) = self.stamps.forgotten() {
            put(&Line::Forgotten(stamped(s)), &mut out);
        }
        if let Some((from, until)) = self.period() {
            put_period(from, until, &mut out);
        }
        for entry in self.entries() {
            put_entry(entry, &mut out);
        }
        out
    }
}

/// Adds the line of a change.
pub fn put_entry(entry: &Entry, out: &mut Vec<u8>) {
    put(&Line::File(Box::new(entry.clone())), out);
}

/// Adds the line of a number that is given.
pub fn put_stamp(stamp: &str, copy: u32, out: &mut Vec<u8>) {
    put(&Line::Stamp(Stamped { stamp: stamp.to_owned(), copy }), out);
}

/// Adds the line of a period.
pub fn put_period(from: i64, until: i64, out: &mut Vec<u8>) {
    put(&Line::Period(from, until), out);
}

fn put(line: &Line, out: &mut Vec<u8>) {
    let body = body(line);
    out.extend_from_slice(format!("{:08x} {body}\n", crc32c::crc32c(body.as_bytes())).as_bytes());
}

fn body(line: &Line) -> String {
    match line {
        Line::Header(version) => format!("{HEADER} {version}"),
        Line::Next(next) => format!("next {next}"),
        Line::Names(template) => format!("names {}", escape(template)),
        Line::Forgotten(s) => format!("forgotten {} {}", escape(&s.stamp), s.copy),
        Line::Stamp(s) => format!("stamp {} {}", escape(&s.stamp), s.copy),
        Line::Period(from, until) => format!("period {from} {until}"),
        Line::File(entry) => file(entry),
    }
}

fn file(e: &Entry) -> String {
    let keys = e.keys.map_or("-".into(), |(first, last)| format!("{first}-{last}"));
    let dated = e.dated.as_ref().map_or("-".into(), |d| format!("{}:{}", escape(&d.stamp), d.copy));
    format!(
        "file {} {} {:032x} {} {keys} {}-{} {dated} {} {}",
        e.serial,
        state_name(e.state),
        e.segment,
        e.file,
        e.begun_ns,
        e.ended_ns,
        form(e.plain.as_ref()),
        form(e.packed.as_ref()),
    )
}

fn form(form: Option<&Form>) -> String {
    let Some(f) = form else { return "-".into() };
    let name = match &f.name {
        Name::Log => "-".into(),
        Name::Chain => "*".into(),
        Name::Fixed(name) => format!("={}", escape(name)),
    };
    format!("{:x}:{:x}:{}:{}:{name}", f.id.dev, f.id.ino, f.born_ns, f.bytes)
}

const STATES: [(State, &str); 4] = [
    (State::Live, "live"),
    (State::Archived, "archived"),
    (State::Packed, "packed"),
    (State::Removed, "removed"),
];

/// As in the file.
#[must_use]
pub fn state_name(state: State) -> &'static str {
    STATES.iter().find(|(s, _)| *s == state).map_or("", |(_, name)| name)
}

/// A text without blanks, line ends and our own marks: everything but letters, digits and `._-+@,~` of ASCII as `%XX`.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-+@,~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            out.push(u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

fn read(line: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (_, text) = line.split_at_checked(9)?;
    let parsed = parse(text)?;
    let mut again = Vec::new();
    put(&parsed, &mut again);
    (again.strip_suffix(b"\n") == Some(line.as_bytes())).then_some(parsed)
}

fn parse(body: &str) -> Option<Line> {
    let mut words = body.split(' ');
    let line = match words.next()? {
        HEADER => Line::Header(words.next()?.parse().ok()?),
        "next" => Line::Next(words.next()?.parse().ok()?),
        "names" => Line::Names(unescape(words.next()?)?),
        "forgotten" => Line::Forgotten(stamped(words.next()?, words.next()?)?),
        "stamp" => Line::Stamp(stamped(words.next()?, words.next()?)?),
        "period" => Line::Period(words.next()?.parse().ok()?, words.next()?.parse().ok()?),
        "file" => Line::File(Box::new(parse_file(&mut words)?)),
        _ => return None,
    };
    words.next().is_none().then_some(line)
}

fn stamped(stamp: &str, copy: &str) -> Option<Stamped> {
    Some(Stamped { stamp: unescape(stamp)?, copy: copy.parse().ok()? })
}

/// `-` for none.
fn option<T>(word: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if word == "-" { Some(None) } else { read(word).map(Some) }
}

fn pair(word: &str) -> Option<(u64, u64)> {
    let (first, last) = word.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn parse_file<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Entry> {
    let serial = words.next()?;
    let (number, part) = serial.split_once('.').unwrap_or((serial, "0"));
    let serial = Serial { number: number.parse().ok()?, part: part.parse().ok()? };
    let state = words.next()?;
    let state = STATES.iter().find(|(_, name)| *name == state)?.0;
    let segment = u128::from_str_radix(words.next()?, 16).ok()?;
    let file = words.next()?.parse().ok()?;
    let keys = option(words.next()?, pair)?;
    let (begun_ns, ended_ns) = pair(words.next()?)?;
    let dated = option(words.next()?, |word| word.split_once(':').and_then(|(s, c)| stamped(s, c)))?;
    let plain = option(words.next()?, parse_form)?;
    let packed = option(words.next()?, parse_form)?;
    Some(Entry { serial, state, segment, file, keys, begun_ns, ended_ns, dated, plain, packed })
}

fn parse_form(word: &str) -> Option<Form> {
    let mut parts = word.split(':');
    let mut hex = || u64::from_str_radix(parts.next()?, 16).ok();
    let id = FileId { dev: hex()?, ino: hex()? };
    let born_ns = parts.next()?.parse().ok()?;
    let bytes = parts.next()?.parse().ok()?;
    let name = match parts.next()? {
        "-" => Name::Log,
        "*" => Name::Chain,
        name => Name::Fixed(unescape(name.strip_prefix('=')?)?),
    };
    parts.next().is_none().then_some(Form { id, born_ns, bytes, name })
}
