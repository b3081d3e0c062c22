//! The configuration that the segment carries: encoded, read, changed while others read it.

use super::{CHUNK_BYTES, Escape, Fsync, Notes, OnStart, Options, WhenFull, shown};
use crate::error::OpenError;
use crate::pack::Compression;
use crate::ring::layout::{CONFIG_ODD, LEVELS, header, word};
use crate::ring::mem::Mem;
use crate::rotate::schedule::Trigger;
use crate::rotate::{Names, Naming, Policy, Scheme, SizeRule};
use crate::sys::{Owner, Rights};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

/// The configuration that the segment carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) policy: Policy,
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) fsync: Fsync,
    pub(crate) terminator: Vec<u8>,
    /// With `reserve`, what holds at first: see [`Live`].
    pub(crate) when_full: [WhenFull; LEVELS],
    /// In chunks.
    pub(crate) reserve: u64,
    pub(crate) checksums: bool,
    pub(crate) notes: Notes,
    pub(crate) death_notes: bool,
    pub(crate) durable: bool,
    pub(crate) index: bool,
    pub(crate) escape: Escape,
    pub(crate) rotate_at: Option<Trigger>,
    /// What archives are called, if the policy's scheme does not say all.
    pub(crate) template: Option<String>,
    pub(crate) on_start: OnStart,
    pub(crate) empty_files: bool,
    pub(crate) keep: Keep,
    pub(crate) compress: Compression,
    pub(crate) compress_delay: u32,
    /// Absolute.
    pub(crate) link: Option<String>,
}

/// What retention keeps, besides a number of archives. Zeros: no limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    pub(crate) age: Duration,
    pub(crate) bytes: u64,
    pub(crate) min_free: u64,
}

/// What can be changed while the log is open, as it stands now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// What a record of each severity does when the ring is full.
    pub when_full: [WhenFull; LEVELS],
    /// How much of the ring is kept for severity warn and above.
    pub reserve_bytes: u64,
}

impl Live {
    pub(crate) fn read(mem: &impl Mem) -> Live {
        Live {
            when_full: std::array::from_fn(|i| WhenFull::of(mem, i as u8)),
            reserve_bytes: mem.load(word::RESERVE, Relaxed).saturating_mul(u64::from(CHUNK_BYTES)),
        }
    }
}

pub(super) const CONFIG_VERSION: u64 = 4;
/// A user or group that is not set.
pub(super) const NOBODY: u32 = u32::MAX;
const WORDS: usize = header::CONFIG_BYTES / 8;
/// How often a configuration is read that is changed at that very time.
const READS: usize = 100;

/// Where the configuration stands that was changed so often.
pub(super) fn place(changes: u64) -> usize {
    if changes.is_multiple_of(2) { header::CONFIG } else { CONFIG_ODD }
}

/// Index of the word that says how long the texts behind it are.
pub(super) const TEXTS: usize = 31;
/// Room for them, in bytes.
pub(super) const TEXTS_MAX: usize = header::CONFIG_BYTES - 8 * (TEXTS + 2);
/// Kinds of texts.
pub(super) const ROTATE_AT: u8 = 1;
pub(super) const LINK: u8 = 2;
pub(super) const NAMES: u8 = 3;

/// Texts one after the other, each behind its kind and its length.
struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    /// `None` for what cannot be read.
    type Item = Option<(u8, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = |bytes: &'a [u8]| {
            let ([kind, low, high], rest) = bytes.split_first_chunk()?;
            let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
            Some(((*kind, std::str::from_utf8(text).ok()?), rest))
        };
        if self.0.is_empty() {
            return None;
        }
        let found = read(self.0);
        self.0 = found.map_or(&[], |(_, rest)| rest);
        Some(found.map(|(text, _)| text))
    }
}

fn put_text(texts: &mut Vec<u8>, kind: u8, text: &str) {
    texts.push(kind);
    texts.extend_from_slice(&(text.len() as u16).to_le_bytes());
    texts.extend_from_slice(text.as_bytes());
}

impl Config {
    pub(crate) fn encode(&self) -> [u8; header::CONFIG_BYTES] {
        let mut w = [0u64; WORDS];
        w[0] = CONFIG_VERSION;
        w[1] = self.policy.max_bytes;
        w[2] = u64::from(self.policy.backups) | rule_code(self.policy.rule) << 32;
        let (fsync, interval) = match self.fsync {
            Fsync::None => (0, 0),
            Fsync::Interval(d) => (1, nanos(d)),
            Fsync::Batch => (2, 0),
        };
        w[3] = u64::from(self.mode) | fsync << 32;
        w[4] = interval;
        let mut t = [0u8; 8];
        t[0] = self.terminator.len() as u8;
        for (to, from) in t[1..].iter_mut().zip(&self.terminator) {
            *to = *from;
        }
        w[5] = u64::from_le_bytes(t);
        for (to, policy) in w[6..].iter_mut().zip(self.when_full) {
            *to = policy.encode();
        }
        w[12] = self.reserve;
        w[13] = u64::from(self.checksums)
            | u64::from(self.death_notes) << 1
            | u64::from(self.durable) << 2
            | u64::from(self.index) << 3
            | (self.notes as u64) << 8
            | u64::from(self.on_start == OnStart::Rotate) << 4
            | u64::from(self.on_start == OnStart::Truncate) << 7
            | u64::from(self.empty_files) << 5
            | u64::from(self.policy.direct) << 6
            | (self.escape as u64) << 16
            | (self.policy.names as u64) << 18;
        [w[16], w[17], w[18]] = [nanos(self.keep.age), self.keep.bytes, self.keep.min_free];
        let texts = self.texts();
        w[TEXTS] = texts.len() as u64;
        w[14] = self.compress.encode() | u64::from(self.compress_delay) << 32;
        let [user, group] = [self.owner.user, self.owner.group].map(|id| u64::from(id.unwrap_or(NOBODY)));
        w[15] = user | group << 32;
        let mut bytes = [0u8; header::CONFIG_BYTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(w) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        for (to, from) in bytes[8 * (TEXTS + 1)..header::CONFIG_BYTES - 8].iter_mut().zip(texts) {
            *to = from;
        }
        let crc = crc32c::crc32c(&bytes[..header::CONFIG_BYTES - 8]);
        bytes[header::CONFIG_BYTES - 8..].copy_from_slice(&u64::from(crc).to_le_bytes());
        bytes
    }

    /// What can be changed while the log is open, as it is typed.
    pub(crate) fn shown(&self) -> Vec<(&'static str, String)> {
        let lower = |debug: String| debug.to_ascii_lowercase();
        let fsync = match self.fsync {
            Fsync::None => "none".to_owned(),
            Fsync::Batch => "batch".to_owned(),
            Fsync::Interval(time) => format!("interval:{}ms", time.as_nanos().div_ceil(1_000_000)),
        };
        let rule = match self.policy.rule {
            SizeRule::Strict => "strict",
            SizeRule::CheckBefore => "check-before",
        };
        vec![
            ("max_bytes", self.policy.max_bytes.to_string()),
            ("backups", self.policy.backups.to_string()),
            ("size_rule", rule.to_owned()),
            ("rotate_at", shown(self.rotate_at.as_ref())),
            ("names", self.template.clone().unwrap_or_else(|| lower(format!("{:?}", self.policy.names)))),
            ("keep_age", format!("{}s", self.keep.age.as_secs())),
            ("keep_bytes", self.keep.bytes.to_string()),
            ("min_free", self.keep.min_free.to_string()),
            ("compress", self.compress.to_string()),
            ("compress_delay", self.compress_delay.to_string()),
            ("link", self.link.clone().unwrap_or_else(|| "none".to_owned())),
            ("mode", format!("{:04o}", self.mode)),
            ("owner", self.owner.to_string()),
            ("fsync", fsync),
            ("notes", lower(format!("{:?}", self.notes))),
            ("death_notes", if self.death_notes { "yes" } else { "no" }.to_owned()),
        ]
    }

    /// What the files of a log of that name are called.
    pub(crate) fn naming(&self, log: &str) -> Naming {
        Naming::new(log, self.policy.names, self.template.as_deref())
    }

    /// Whether files can have their names from the beginning.
    pub(crate) fn can_be_direct(&self) -> Result<(), OpenError> {
        if self.policy.direct && self.policy.names == Scheme::Numbered {
            let names = "names that change cannot be had directly: choose dated ones, or a template with {date} or {seq}";
            return Err(OpenError::option(names.into()));
        }
        if self.policy.direct && self.on_start == OnStart::Truncate {
            let start =
                "files that have their own names from the beginning are not emptied at the start: rotate";
            return Err(OpenError::option(start.into()));
        }
        Ok(())
    }

    /// Whether archives of a log of that name can be called so.
    pub(crate) fn fits(&self, log: &str) -> Result<(), OpenError> {
        self.can_be_direct()?;
        let check = |template: &String| Options::check_names(template, log).map_err(OpenError::option);
        self.template.as_ref().map_or(Ok(()), check)
    }

    /// As it was asked for.
    pub(crate) fn names(&self) -> Names {
        match (&self.template, self.policy.names) {
            (Some(template), _) => Names::Template(template.clone()),
            (None, Scheme::Numbered) => Names::Numbered,
            (None, Scheme::Dated) => Names::Dated,
        }
    }

    /// What the log's files are made with.
    pub(crate) fn rights(&self) -> Rights {
        Rights { mode: self.mode, owner: self.owner }
    }

    /// The same for the hidden directory. It stays with whoever flushes: its owner could put other files in the place of those
    /// that the flusher writes to.
    pub(crate) fn rights_of_directory(&self) -> Rights {
        Rights { mode: self.mode, owner: Owner { user: None, group: self.owner.group } }
    }

    pub(super) fn texts(&self) -> Vec<u8> {
        let mut texts = Vec::new();
        if let Some(trigger) = &self.rotate_at {
            put_text(&mut texts, ROTATE_AT, &trigger.to_string());
        }
        if let Some(link) = &self.link {
            put_text(&mut texts, LINK, link);
        }
        if let Some(template) = &self.template {
            put_text(&mut texts, NAMES, template);
        }
        texts
    }

    /// Writes what can be changed later into the shared words.
    pub(crate) fn publish(&self, mem: &impl Mem) {
        for (i, policy) in self.when_full.iter().enumerate() {
            mem.store(word::WHEN_FULL + 8 * i, policy.encode(), Relaxed);
        }
        mem.store(word::RESERVE, self.reserve, Relaxed);
    }

    /// The configuration that holds, and how often it was changed; `None` if it is damaged.
    pub(crate) fn read(mem: &impl Mem) -> Option<(Config, u64)> {
        for _ in 0..READS {
            // ORDER config/acquire: what stands there is at least as new as its number.
            let changes = mem.load(word::CONFIG_CHANGES, Acquire);
            let mut bytes = [0; header::CONFIG_BYTES];
            for (i, to) in bytes.chunks_exact_mut(8).enumerate() {
                to.copy_from_slice(&mem.load(place(changes) + 8 * i, Relaxed).to_le_bytes());
            }
            if let Some(config) = Config::decode(&bytes) {
                return Some((config, changes));
            }
            if mem.load(word::CONFIG_CHANGES, Relaxed) == changes {
                return None;
            }
        }
        None
    }

    /// Makes this the configuration that holds, by its `changes`-th change. The caller is the only one who does such
    /// a thing. Killed at any step, the former one holds.
    pub(crate) fn write(&self, mem: &impl Mem, changes: u64) {
        for (i, word) in self.encode().chunks_exact(8).enumerate() {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            mem.store(place(changes) + 8 * i, word, Relaxed);
        }
        // ORDER config/release: it is whole before its number says that it holds.
        mem.store(word::CONFIG_CHANGES, changes, Release);
    }

    /// `None` if the bytes are not a configuration of this version.
    pub(crate) fn decode(bytes: &[u8; header::CONFIG_BYTES]) -> Option<Config> {
        let mut w = [0u64; WORDS];
        for (word, b) in w.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(b.try_into().ok()?);
        }
        let crc = crc32c::crc32c(&bytes[..header::CONFIG_BYTES - 8]);
        if w[WORDS - 1] != u64::from(crc) || w[0] != CONFIG_VERSION {
            return None;
        }
        let t = w[5].to_le_bytes();
        let texts =
            bytes[8 * (TEXTS + 1)..header::CONFIG_BYTES - 8].get(..usize::try_from(w[TEXTS]).ok()?)?;
        let (mut rotate_at, mut link, mut template) = (None, None, None);
        for text in Texts(texts) {
            match text? {
                (ROTATE_AT, text) => rotate_at = Some(text.parse().ok()?),
                (LINK, text) => link = Some(text.to_owned()),
                (NAMES, text) => template = Some(text.to_owned()),
                _ => return None,
            }
        }
        let id = |word: u64| Some(word as u32).filter(|id| *id != NOBODY);
        let names = if w[13] >> 18 & 1 == 0 { Scheme::Numbered } else { Scheme::Dated };
        let rule = if w[2] >> 32 == 0 { SizeRule::Strict } else { SizeRule::CheckBefore };
        Some(Config {
            policy: Policy { max_bytes: w[1], backups: w[2] as u32, rule, names, direct: w[13] & 64 != 0 },
            mode: w[3] as u32,
            owner: Owner { user: id(w[15]), group: id(w[15] >> 32) },
            fsync: match w[3] >> 32 {
                0 => Fsync::None,
                1 => Fsync::Interval(Duration::from_nanos(w[4])),
                _ => Fsync::Batch,
            },
            terminator: t[1..].get(..t[0] as usize)?.to_vec(),
            when_full: std::array::from_fn(|i| WhenFull::decode(w[6 + i])),
            reserve: w[12],
            checksums: w[13] & 1 != 0,
            notes: match w[13] >> 8 & 3 {
                0 => Notes::Text,
                1 => Notes::Json,
                _ => Notes::Off,
            },
            death_notes: w[13] & 2 != 0,
            durable: w[13] & 4 != 0,
            index: w[13] & 8 != 0,
            escape: match w[13] >> 16 & 3 {
                0 => Escape::None,
                1 => Escape::Controls,
                _ => Escape::Lines,
            },
            rotate_at,
            template,
            on_start: match (w[13] & 16, w[13] & 128) {
                (0, 0) => OnStart::Append,
                (0, _) => OnStart::Truncate,
                _ => OnStart::Rotate,
            },
            empty_files: w[13] & 32 != 0,
            keep: Keep { age: Duration::from_nanos(w[16]), bytes: w[17], min_free: w[18] },
            compress: Compression::decode(w[14]),
            compress_delay: (w[14] >> 32) as u32,
            link,
        })
    }
}

/// Any bytes as a configuration.
#[cfg(any(test, fuzzing))]
pub mod hostile {
    use super::{Config, header};
    use crate::options::TERMINATOR_MAX;

    /// Reads them, and reads again what is written of it. With an odd first byte, version and checksum are made
    /// right first. True if it was sound.
    pub fn config(input: &[u8]) -> bool {
        let Some((first, rest)) = input.split_first() else { return false };
        let mut bytes = [0; header::CONFIG_BYTES];
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        if first & 1 != 0 {
            bytes[..8].copy_from_slice(&super::CONFIG_VERSION.to_le_bytes());
            let end = header::CONFIG_BYTES - 8;
            let crc = u64::from(crc32c::crc32c(&bytes[..end]));
            bytes[end..].copy_from_slice(&crc.to_le_bytes());
        }
        let Some(config) = Config::decode(&bytes) else { return false };
        assert!(config.terminator.len() <= TERMINATOR_MAX);
        assert_eq!(Config::decode(&config.encode()), Some(config));
        true
    }
}

fn rule_code(rule: SizeRule) -> u64 {
    match rule {
        SizeRule::Strict => 0,
        SizeRule::CheckBefore => 1,
    }
}

pub(super) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
