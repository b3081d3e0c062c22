//! The moves that a rotation has put off: until the archive that waits is number 1.
//!
//! ```text
//! log.newest log.1 log.2 log.3     rename log.3 to log.4; log.2 to log.3; log.1 to log.2; log.newest to log.1
//! ```
//! In a full chain the oldest becomes `log.oldest` first, and is removed last. Between any two moves records may be
//! written, and anybody may be killed. If the log is rotated, or other names are changed, begin anew with another listing.
use super::chain::{Chain, Move};
use super::machine::{Action, Failure};
use super::name::Member;
use super::naming::Naming;
use super::policy::{Policy, Scheme};

/// One run, from a listing to its end.
#[derive(Clone, Debug)]
pub struct Shift {
    naming: Naming,
    chain: Chain,
    failure: Option<Failure>,
}

impl Shift {
    /// `None`: nothing waits, or the policy wants no numbers.
    #[must_use]
    pub fn start(policy: &Policy, naming: &Naming, names: &[String]) -> Option<Self> {
        let members = || names.iter().filter_map(|name| naming.as_member(name));
        members().find(|member| member.number == Member::WAITING)?;
        let wanted = policy.names == Scheme::Numbered && policy.backups > 0;
        let chain = Chain::new(None, members(), policy.backups);
        wanted.then(|| Self { naming: naming.clone(), chain, failure: None })
    }

    /// What to do now; the same until it is reported. `None`: it is through, or has failed.
    #[must_use]
    pub fn next(&self) -> Option<Action> {
        if self.failure.is_some() {
            return None;
        }
        let remove = |member: Member| Action::Remove { name: self.naming.member(member) };
        let fallen = || self.chain.fallen().map(remove);
        match self.chain.next_move() {
            Some(Move::Remove(member)) => Some(remove(member)),
            Some(Move::Rename { from, to }) => {
                Some(Action::Rename { from: self.naming.member(from), to: self.naming.member(to) })
            }
            None => fallen(),
        }
    }

    /// How it went.
    pub fn report(&mut self, result: Result<(), Failure>) {
        let done = self.chain.next_move().or_else(|| self.chain.fallen().map(Move::Remove));
        let Some(done) = done else { return };
        match (result, done) {
            (Ok(()), done) => self.chain.apply(done),
            // Somebody else removed it since the listing, so its number is free.
            (Err(Failure::NotFound), Move::Remove(gone) | Move::Rename { from: gone, .. }) => {
                self.chain.forget(gone);
            }
            (Err(failure), _) => self.failure = Some(failure),
        }
    }

    /// Why it has ended before it was through: begin anew after a while.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }
}
