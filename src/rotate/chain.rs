//! The archives that exist, and the next move of the shift.
use super::name::Member;
use std::collections::BTreeSet;

/// One move of the shift: one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// `from` becomes `to`. Only if `replaces` may there be a file at `to`: the oldest.
    Rename { from: Member, to: Member, replaces: bool },
    /// The oldest is removed, because what comes after it has another ending.
    Remove(Member),
}

/// The members with numbers `0..=backups`. Those above are nobody's business here.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    members: BTreeSet<Member>,
    backups: u32,
    /// No number below this one is free. Kept so that a shift of n archives takes n steps, not n².
    gap: u32,
}

impl Chain {
    pub(super) fn new(members: impl Iterator<Item = Member>, backups: u32) -> Self {
        let members = members.filter(|member| member.number <= backups).collect();
        let gap = 0;
        let mut chain = Self { members, backups, gap };
        chain.advance_gap();
        chain
    }

    /// What to do next so that number 0 becomes free; `None` when it is.
    pub(super) fn next_move(&self) -> Option<Move> {
        let gap = Some(self.gap).filter(|gap| *gap <= self.backups);
        let target = gap.unwrap_or(self.backups);
        let from = self.first_at(target.checked_sub(1)?)?;
        let to = from.at(target);
        Some(match self.first_at(target) {
            Some(oldest) if self.has_two(target) || oldest != to => Move::Remove(oldest),
            oldest => Move::Rename { from, to, replaces: oldest.is_some() },
        })
    }

    /// The move was made.
    pub(super) fn apply(&mut self, done: Move) {
        match done {
            Move::Remove(member) => self.forget(member),
            Move::Rename { from, to, .. } => {
                self.members.insert(to);
                self.forget(from);
            }
        }
    }

    /// The member is no more.
    pub(super) fn forget(&mut self, member: Member) {
        self.members.remove(&member);
        self.gap = self.gap.min(member.number);
        self.advance_gap();
    }

    fn advance_gap(&mut self) {
        while self.gap <= self.backups && self.first_at(self.gap).is_some() {
            // Ends: u32::MAX + 1 members fit into no memory.
            self.gap = self.gap.saturating_add(1);
        }
    }

    /// The member with that number; the older one if there are two.
    fn first_at(&self, number: u32) -> Option<Member> {
        self.all_at(number).next()
    }

    fn has_two(&self, number: u32) -> bool {
        self.all_at(number).nth(1).is_some()
    }

    fn all_at(&self, number: u32) -> impl Iterator<Item = Member> + '_ {
        let from = Member::LOG.at(number);
        self.members.range(from..).copied().take_while(move |member| member.number == number)
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
