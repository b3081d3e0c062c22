//! What a round is: all of it follows from the seed and the round's number.

use super::fault::{ALL, Fault};
use crate::args::PlaceArgs;
use crate::stress::plan::Plan;
use crate::stress::record::Text;
use crate::stress::rng::{Rng, mix};
use crate::stress::worker::ShareArgs;
use crate::units::show_bytes;
use crlog::SegmentKind;
use std::path::Path;
use std::time::Duration;

/// Bytes that the rotated files of a round hold together.
const CAPACITY: u64 = 192 << 20;
/// Rotations that are not due to a file's size, at most: each of them takes a rotated file's place.
pub const ASKED_MAX: u32 = 40;

/// A round.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its number, from 1.
    pub number: u32,
    /// What is written by whom.
    pub plan: Plan,
    /// Faults that may happen.
    pub faults: Vec<Fault>,
    /// What is random while it runs.
    pub rng: Rng,
    /// How long it goes on.
    pub time: Duration,
    /// Parts in which the bytes that may be written are handed out: few are bursts that fill the ring.
    pub bursts: u64,
}

impl Script {
    /// Round `number` of `seed`, in this directory; the log in `disk`.
    pub fn draw(seed: u64, number: u32, dir: &Path, disk: &Path) -> Script {
        let mut rng = Rng::new(mix(seed) ^ u64::from(number));
        let one = |rng: &mut Rng, of: &[u64]| rng.pick(of).unwrap_or(1 << 20);
        let ring = one(&mut rng, &[256 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20, 16 << 20]);
        let longest = one(&mut rng, &[64, 512, 512, 2_000, 9_000, 30_000, 200_000]).min(ring / 8);
        let file = one(&mut rng, &[256 << 10, 1 << 20, 1 << 20, 4 << 20]).max(4 * longest);
        let segment = match rng.below(3) {
            0 => SegmentKind::File(dir.join("ring")),
            _ => SegmentKind::Shm,
        };
        let threads_only = rng.below(3) == 0;
        let sidecars = if threads_only { 0 } else { rng.below(3) as u32 };
        let lacks = |rng: &mut Rng| rng.below(8) == 0;
        let mut faults: Vec<Fault> = ALL.iter().map(|(f, _, _)| *f).filter(|_| !lacks(&mut rng)).collect();
        faults.retain(|f| !threads_only || !matches!(f, Fault::SidecarComes | Fault::SidecarGoes));
        let index = rng.below(2) == 0;
        let plan = Plan {
            share: ShareArgs {
                path: disk.join("soak.log"),
                ring_size: ring,
                max_bytes: file,
                backups: (CAPACITY / file) as u32 + ASKED_MAX,
                place: PlaceArgs { segment: Some(segment), lock_dir: None },
                index,
            },
            acks: dir.join("acks"),
            said: Some(dir.join("said")),
            processes: rng.between(2, 8) as u32,
            sidecars,
            records: None,
            time: None,
            text: Text::Filler { min: 32, max: longest },
            record_bytes_max: longest,
            kill_producers: false,
            kill_flushers: false,
            stop_producers: false,
            every: Duration::from_millis(one(&mut rng, &[2, 5, 10, 20])),
            seed: mix(seed ^ u64::from(number)),
        };
        let time = Duration::from_secs(rng.between(20, 40));
        let bursts = one(&mut rng, &[50, 300, 100_000]);
        Script { number, plan, faults, rng, time, bursts }
    }

    /// Bytes that may be written: what rotated files hold that are full but for the longest record.
    pub fn capacity(&self) -> u64 {
        let share = &self.plan.share;
        u64::from(share.backups - ASKED_MAX) * (share.max_bytes - self.plan.record_bytes_max - 1)
    }

    /// Bytes of the disk: all that may be written, twice a file for copies, and what names and rounding take.
    pub fn disk_bytes(&self) -> u64 {
        CAPACITY + 4 * self.plan.share.max_bytes + (16 << 20)
    }

    /// In words.
    pub fn words(&self) -> String {
        let (p, s) = (&self.plan, &self.plan.share);
        let segment = if matches!(s.place.segment, Some(SegmentKind::Shm)) { "shm" } else { "mapped file" };
        format!(
            "round {}: {} processes, {} sidecars, ring {} ({segment}), records 32-{} bytes, files of {}, a fault every {} ms, {} s",
            self.number,
            p.processes,
            p.sidecars,
            show_bytes(s.ring_size),
            p.record_bytes_max,
            show_bytes(s.max_bytes),
            p.every.as_millis(),
            self.time.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u64, number: u32) -> Script {
        Script::draw(seed, number, Path::new("/x"), Path::new("/x/disk"))
    }

    #[test]
    fn a_round_follows_from_seed_and_number() {
        for number in 1..20 {
            assert_eq!(format!("{:?}", draw(7, number)), format!("{:?}", draw(7, number)));
            assert_ne!(format!("{:?}", draw(7, number)), format!("{:?}", draw(8, number)));
        }
    }

    #[test]
    fn every_round_can_be_done_and_judged() {
        for number in 0..2000 {
            let s = draw(1, number);
            assert!(s.plan.check().is_ok(), "{s:?}");
            assert!(s.capacity() > 32 << 20 && s.capacity() < s.disk_bytes(), "{s:?}");
            assert!((20..=40).contains(&s.time.as_secs()) && s.faults.len() > 6);
        }
    }

    #[test]
    fn every_fault_and_every_size_comes_up() {
        let all: Vec<Script> = (0..200).map(|n| draw(2, n)).collect();
        for (fault, _, _) in ALL {
            assert!(all.iter().any(|s| s.faults.contains(&fault)), "{fault:?}");
        }
        assert!(all.iter().any(|s| s.plan.share.ring_size == 16 << 20));
        assert!(all.iter().any(|s| s.plan.record_bytes_max == 200_000));
        assert!(all.iter().any(|s| s.plan.sidecars == 0 && !s.faults.contains(&Fault::SidecarComes)));
    }
}
