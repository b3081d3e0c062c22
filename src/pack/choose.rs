//! Which archive is packed next, and which two files may be one archive. Pure: names in, names out.
//!
//! The newest comes first: the oldest may be about to fall off, and then the work would be for nothing.

use crate::rotate::name::{Packing, Standing};
use crate::rotate::schedule::Dated;
use crate::rotate::{Member, Naming};
use std::cmp::Reverse;

/// An archive that may be packed, or is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its file name.
    pub name: String,
    /// How many archives are newer. Two files of one number, or of one date, have the same.
    pub rank: u32,
    /// How it is packed.
    pub packing: Packing,
}

impl Archive {
    /// Its name when it is packed so.
    #[must_use]
    pub fn packed(&self, packing: Packing) -> String {
        format!("{}{}", self.name, packing.ending())
    }
}

/// The archives that have names as they are made now, newest first. Of a numbered chain, what is on its way out or stands
/// beyond its end is left alone.
#[must_use]
pub fn archives(naming: &Naming, names: &[String], backups: u32) -> Vec<Archive> {
    let of = |name: &String| match naming.present(name)? {
        Standing::Log => None,
        Standing::Dated(Reverse(dated)) => {
            let (packing, place) = (dated.packing, Dated { packing: Packing::Plain, ..dated });
            Some((Standing::Dated(Reverse(place)), packing, name.clone()))
        }
        Standing::Numbered(member) => {
            let place = Member { packing: Packing::Plain, ..member };
            let stays = member.number <= backups && member.number != Member::OUT;
            stays.then(|| (Standing::Numbered(place), member.packing, name.clone()))
        }
    };
    let mut all: Vec<(Standing, Packing, String)> = names.iter().filter_map(of).collect();
    all.sort();
    let (mut rank, mut last) = (0, None);
    let mut archives = Vec::new();
    for (place, packing, name) in all {
        rank += u32::from(last.as_ref().is_some_and(|last| *last != place));
        last = Some(place);
        archives.push(Archive { name, rank, packing });
    }
    archives
}

/// What is to be packed, newest first, but for the `delay` newest archives. A plain file beside a packed one of its number
/// stays: its new name is taken.
pub fn candidates(archives: &[Archive], delay: u32) -> impl Iterator<Item = &Archive> {
    let alone =
        |plain: &Archive| !archives.iter().any(|a| a.rank == plain.rank && a.packing != Packing::Plain);
    archives.iter().filter(move |a| a.packing == Packing::Plain && a.rank >= delay && alone(a))
}

/// A plain file and a packed one that may be made of it: one number or date has both, or a rotation since has moved
/// the plain one, which is shifted first, one place further.
pub fn pairs(archives: &[Archive]) -> impl Iterator<Item = (&Archive, &Archive)> {
    let near = |plain: &Archive, packed: &Archive| {
        packed.packing != Packing::Plain && plain.rank.wrapping_sub(packed.rank) <= 1
    };
    let of = move |plain| archives.iter().filter(move |packed| near(plain, packed)).map(move |p| (plain, p));
    archives.iter().filter(|a| a.packing == Packing::Plain).flat_map(of)
}
