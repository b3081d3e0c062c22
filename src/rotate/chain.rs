//! The archives that exist, and the next move of the shift.
use super::name::Member;
use std::collections::BTreeSet;

/// One move of the shift: one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// `from` becomes `to`, which must be free.
    Rename { from: Member, to: Member },
    /// One that fell off in an earlier rotation is removed.
    Remove(Member),
}

/// The members with numbers `0..=backups`, and those that are on their way out. Those above are nobody's
/// business here. Number 0 is the file that is to become number 1: the log, or an archive that waits for it. (Two that wait differ in how they are packed: two
/// handlers have used the directory.)
#[derive(Clone, Debug)]
pub(super) struct Chain {
    zero: Option<Member>,
    waiting: BTreeSet<Member>,
    members: BTreeSet<Member>,
    backups: u32,
    /// No number below this one is free. Kept so that a shift of n archives takes n steps, not n².
    gap: u32,
}

impl Chain {
    /// Archives that wait come first, then the log, if it is to be moved.
    pub(super) fn new(log: Option<Member>, members: impl Iterator<Item = Member>, backups: u32) -> Self {
        let backups = backups.min(Member::LAST);
        let (mut waiting, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for member in members {
            match member.number {
                Member::WAITING => waiting.insert(member),
                number if (1..=backups).contains(&number) || number == Member::OUT => kept.insert(member),
                _ => false,
            };
        }
        let mut chain = Self { zero: None, waiting, members: kept, backups, gap: 0 };
        chain.next_zero(log);
        chain
    }

    /// Number 0 is free: the next one that waits takes it, or else the log.
    pub(super) fn next_zero(&mut self, log: Option<Member>) {
        self.zero = self.waiting.pop_first().or(log);
        self.gap = 0;
        self.advance_gap();
    }

    /// Whether that is number 0.
    pub(super) fn is_next(&self, member: Member) -> bool {
        self.zero == Some(member)
    }

    /// How many archives have to move before number 0 can.
    pub(super) fn moves(&self) -> u32 {
        self.gap.saturating_sub(1)
    }

    /// What to do next so that number 0 becomes free; `None` when it is.
    pub(super) fn next_move(&self) -> Option<Move> {
        let last = self.gap.checked_sub(1)?;
        let from = self.first_at(last)?;
        if last < self.backups {
            return Some(Move::Rename { from, to: from.at(self.gap) });
        }
        // Full: the oldest gives way, but is there until the new file is. Without backups nothing moves.
        let to = Some(from.at(Member::OUT)).filter(|_| last > 0)?;
        Some(if self.members.contains(&to) { Move::Remove(to) } else { Move::Rename { from, to } })
    }

    /// What has fallen off once a rotation has succeeded.
    pub(super) fn fallen(&self) -> Option<Member> {
        self.first_at(Member::OUT)
    }

    /// The move was made.
    pub(super) fn apply(&mut self, done: Move) {
        match done {
            Move::Remove(member) => self.forget(member),
            Move::Rename { from, to } => {
                self.members.insert(to);
                self.forget(from);
            }
        }
    }

    /// The member is no more.
    pub(super) fn forget(&mut self, member: Member) {
        if self.zero == Some(member) {
            self.zero = None;
            self.gap = 0;
        } else {
            self.members.remove(&member);
        }
        if (1..=Member::LAST).contains(&member.number) {
            self.gap = self.gap.min(member.number);
            self.advance_gap();
        }
    }

    fn advance_gap(&mut self) {
        while self.gap <= self.backups && self.first_at(self.gap).is_some() {
            // Ends: u32::MAX + 1 members fit into no memory.
            self.gap = self.gap.saturating_add(1);
        }
    }

    /// The member with that number; the older one if there are two.
    fn first_at(&self, number: u32) -> Option<Member> {
        if number == 0 {
            return self.zero;
        }
        let from = Member::LOG.at(number);
        self.members.range(from..).next().copied().filter(|member| member.number == number)
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
