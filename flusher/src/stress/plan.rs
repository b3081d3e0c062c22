//! What a run is to do, and whether that can be judged afterwards.

use super::record::{INCARNATIONS, Maker, Text};
use super::worker::ShareArgs;
use crate::console::Failure;
use crate::units::show_bytes;
use std::path::PathBuf;
use std::time::Duration;

/// Shortest record of filler: its header and some bytes.
const RECORD_BYTES_MIN: u64 = 32;

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What all processes must know.
    pub share: ShareArgs,
    /// File of acknowledgements, to be made.
    pub acks: PathBuf,
    /// Where processes write what they have to say; `None`: to our standard error.
    pub said: Option<PathBuf>,
    /// Processes that write.
    pub processes: u32,
    /// Processes that only flush.
    pub sidecars: u32,
    /// Records of each process; `None`: until time is up.
    pub records: Option<u64>,
    /// How long; `None`: until the records are written.
    pub time: Option<Duration>,
    /// What the records say.
    pub text: Text,
    /// No record is longer.
    pub record_bytes_max: u64,
    /// Kill processes that write.
    pub kill_producers: bool,
    /// Kill whoever writes the file.
    pub kill_flushers: bool,
    /// Stop processes that write, and let them go on.
    pub stop_producers: bool,
    /// Mean time between two blows.
    pub every: Duration,
    /// Of all that is random.
    pub seed: u64,
}

impl Plan {
    /// Makes the records of this run.
    pub fn maker(&self) -> Maker {
        Maker { seed: self.seed, text: self.text }
    }

    /// Bytes that the files hold before the first one falls off: rotated files may be short by one record.
    pub fn capacity(&self) -> u64 {
        match self.share.max_bytes {
            0 => u64::MAX,
            max => u64::from(self.share.backups) * max.saturating_sub(self.record_bytes_max + 1),
        }
    }

    /// Refuses what could not be done or not be judged.
    pub fn check(&self) -> Result<(), Failure> {
        if self.processes == 0 || self.processes > 1000 || self.sidecars > 100 {
            return Err(Failure::usage("1 to 1000 processes and at most 100 sidecars are possible"));
        }
        if let Text::Filler { min, .. } = self.text
            && min < RECORD_BYTES_MIN
        {
            return Err(Failure::usage(format!(
                "--bytes: a record needs at least {RECORD_BYTES_MIN} bytes to tell what it is"
            )));
        }
        if self.every.is_zero() {
            return Err(Failure::usage("--every: a time above 0 is needed, such as 5ms"));
        }
        if self.record_bytes_max > self.share.ring_size / 8 {
            return Err(Failure::usage(format!(
                "--bytes: records up to {} need a ring of {} or more: use --ring-size",
                show_bytes(self.record_bytes_max),
                show_bytes(self.record_bytes_max * 8)
            )));
        }
        self.check_capacity()
    }

    fn check_capacity(&self) -> Result<(), Failure> {
        let file = match self.share.max_bytes {
            0 => return Ok(()),
            max => max.saturating_sub(self.record_bytes_max + 1),
        };
        if file == 0 || self.share.backups == 0 {
            return Err(Failure::usage(
                "records would be thrown away before they are checked: --backups must be 1 or more, and --max-bytes larger than a record",
            ));
        }
        // Each death adds at most one record.
        let records = self
            .records
            .unwrap_or(0)
            .saturating_mul(u64::from(self.processes))
            .saturating_add(u64::from(INCARNATIONS));
        let all = records.saturating_mul(self.record_bytes_max + 1);
        if self.records.is_some() && all > self.capacity() {
            return Err(Failure::usage(format!(
                "up to {} would be written, of which the first would be thrown away before it is checked: use --backups {} or a larger --max-bytes",
                show_bytes(all),
                all.div_ceil(file)
            )));
        }
        Ok(())
    }
}
