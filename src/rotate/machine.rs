//! The machine: from a stage, a view of the directory and a policy to one action after the other.
//!
//! ```text
//! let stage = policy.stage();                     // to rotate now; at a take-over: the journal's
//! let mut machine = Machine::start(&policy, &naming, stage, &view);
//! let outcome = loop {
//!     match machine.next() {
//!         Action::Done(outcome) => break outcome,
//!         action => machine.report(run(&action)),  // run: one system call, or one commit
//!     }
//! };
//! backoff.note(outcome, now_ms);
//! ```
//!
//! Every take-over runs it once, in every stage, before anything is written. Before that, and only
//! in stage NONE, the driver cuts the journalled file to its recorded end; it looks for that file at
//! the log's name *and* at `log.1`, whatever stands at the log's name. In the other stages the size
//! is not looked at: no record was written, and TRUNCATE may have shortened the file already.
//! A driver that finds that it is no longer the flusher drops the machine: its successor goes on
//! from the journal.
use super::chain::{Chain, Move};
use super::name::Member;
use super::naming::Naming;
use super::policy::{Policy, Scheme};

const WAITING: Member = Member::NEWEST.at(Member::WAITING);

/// What the journal says is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing.
    #[default]
    None,
    /// The journalled file is to become `log.1`, and a new one to take its place.
    Rotate,
    /// The journalled file is to be truncated.
    Truncate,
}

/// A word in the journal that is no stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a stage of a rotation")]
pub struct UnknownStage(pub u64);

impl From<Stage> for u64 {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::None => 0,
            Stage::Rotate => 1,
            Stage::Truncate => 2,
        }
    }
}

impl TryFrom<u64> for Stage {
    type Error = UnknownStage;

    fn try_from(code: u64) -> Result<Self, UnknownStage> {
        match code {
            0 => Ok(Self::None),
            1 => Ok(Self::Rotate),
            2 => Ok(Self::Truncate),
            other => Err(UnknownStage(other)),
        }
    }
}

/// Where the file that the journal names is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At the log's name.
    Same,
    /// It is [`View::archive`], and there is nothing at the log's name.
    Archived,
    /// Somewhere else or nowhere; another file is at the log's name.
    Other,
    /// Somewhere else or nowhere; there is nothing at the log's name.
    Missing,
}

/// What the driver saw in the log's directory, just before the machine was started.
#[derive(Clone, Debug)]
pub struct View {
    /// The names of the directory's entries, in any order. Scheme that are not UTF-8 are left out:
    /// they cannot be archives of a log whose name is.
    pub names: Vec<String>,
    /// Where the journalled file is.
    pub at: At,
    /// What the journalled file is called if it is [`At::Archived`]; else what it is to be called: with dated names
    /// one that is free, with numbers `log.1` (or the one under which it waits for that, if the machine says so). If files have
    /// their names from the beginning: nothing.
    pub archive: String,
}

/// One thing for the driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Commit the stage as an empty batch, with the file and the end that the journal has already.
    Journal(Stage),
    /// Rename a file of the directory. If there is one of the new name, nothing may be done and
    /// [`Failure::Exists`] is reported (Linux: `RENAME_NOREPLACE`).
    Rename {
        /// Its name.
        from: String,
        /// Its new name.
        to: String,
    },
    /// Remove a file of the directory: an archive that has fallen off.
    Remove {
        /// Its name.
        name: String,
    },
    /// Truncate the journalled file to nothing, through its open descriptor, never by name.
    Truncate,
    /// Create the log file; if there is one by now, open it (or, if files have their own names from the beginning, fail unless it
    /// is what an attempt before this one left). Never truncate it. Keep the old descriptor until [`Action::Finish`] has been done.
    Create,
    /// Commit stage NONE with the file that is open as the log now (after [`Action::Create`] the
    /// new one, after [`Action::Truncate`] the same) and its size as the end.
    Finish,
    /// Commit stage NONE with the old file and its size as the end: logging goes on there.
    Abandon,
    /// Nothing is left to do.
    Done(Outcome),
}

/// Why an action failed, as far as it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The file to be renamed or removed is not there.
    NotFound,
    /// There is a file at the name that had to be free.
    Exists,
    /// Anything else.
    Other,
}

impl From<std::io::ErrorKind> for Failure {
    fn from(kind: std::io::ErrorKind) -> Self {
        match kind {
            std::io::ErrorKind::NotFound => Self::NotFound,
            std::io::ErrorKind::AlreadyExists => Self::Exists,
            _ => Self::Other,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The old file was put away; the log is a new one.
    Rotated,
    /// The log was truncated.
    Truncated,
    /// The journalled file was not at the log's name any more; the log is the file that is.
    Reopened,
    /// There was nothing to do, or the policy does not want it any more: the same file goes on.
    Unchanged,
    /// It failed, and the same file goes on. Try again later.
    Kept(Failure),
    /// It failed, and there is no file that may be written to. Write nothing; try again later, from
    /// the journal's stage.
    Held(Failure),
}

impl Outcome {
    /// Why it failed, if it did.
    #[must_use]
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Kept(failure) | Self::Held(failure) => Some(failure),
            Self::Rotated | Self::Truncated | Self::Reopened | Self::Unchanged => None,
        }
    }
}

/// What is being waited for.
#[derive(Clone, Copy, Debug)]
enum Step {
    Journal,
    Shift(Move),
    /// The log gets its dated name, or the one under which it waits for number 1.
    PutAway,
    Truncate,
    Create,
    PutBack(Failure),
    Finish(Outcome),
    Drop(Member, Outcome),
    Abandon(Outcome),
    Done(Outcome),
}

/// One run, from a stage and a view to an outcome.
#[derive(Clone, Debug)]
pub struct Machine {
    naming: Naming,
    stage: Stage,
    /// Where the journalled file is by now.
    at: At,
    /// Number 0 is in it exactly if the journalled file is at the log's name.
    chain: Chain,
    keeps_backups: bool,
    direct: bool,
    names: Scheme,
    archive: String,
    /// With more archives to be moved, that is put off.
    at_once: u32,
    step: Step,
}

impl Machine {
    /// Starts a run: the only way to rotate, and the only way to take over.
    ///
    /// `stage` is the journal's at a take-over or after [`Outcome::Held`], and [`Policy::stage`] to
    /// rotate now. A take-over commits the stage once more, which changes nothing.
    #[must_use]
    pub fn start(policy: &Policy, naming: &Naming, stage: Stage, view: &View) -> Self {
        let numbered = policy.names == Scheme::Numbered;
        let archives = || view.names.iter().filter_map(|name| naming.as_member(name).filter(|_| numbered));
        let live = (view.at == At::Same).then_some(Member::LOG);
        let mut machine = Self {
            naming: naming.clone(),
            stage,
            at: view.at,
            chain: Chain::new(live, archives(), policy.backups),
            keeps_backups: policy.backups > 0 || !numbered,
            direct: policy.direct,
            names: policy.names,
            archive: view.archive.clone(),
            at_once: u32::MAX,
            step: Step::Journal,
        };
        if stage == Stage::None {
            machine.step = machine.first_step();
        }
        machine
    }

    /// If more archives than that have to be moved, the log gets a name under which it waits, and they are moved later, by
    /// [`Shift`](super::shift::Shift). To be said before the first action.
    #[must_use]
    pub fn moving_at_once(self, archives: u32) -> Self {
        Self { at_once: archives, ..self }
    }

    /// Whether the archives have yet to be moved.
    #[must_use]
    pub fn has_put_off(&self) -> bool {
        self.names == Scheme::Numbered && self.archive == self.naming.member(WAITING)
    }

    /// What to do now. The same until it is reported.
    #[must_use]
    pub fn next(&self) -> Action {
        match self.step {
            Step::Journal => Action::Journal(self.stage),
            Step::Shift(Move::Remove(member)) | Step::Drop(member, _) => {
                Action::Remove { name: self.naming.member(member) }
            }
            Step::Shift(Move::Rename { from, to }) => self.rename(from, to),
            Step::Truncate => Action::Truncate,
            Step::Create => Action::Create,
            Step::PutAway => Action::Rename { from: self.naming.log().to_owned(), to: self.archive.clone() },
            Step::PutBack(_) => {
                Action::Rename { from: self.archive.clone(), to: self.naming.log().to_owned() }
            }
            Step::Finish(_) => Action::Finish,
            Step::Abandon(_) => Action::Abandon,
            Step::Done(outcome) => Action::Done(outcome),
        }
    }

    /// How it went. A report after [`Action::Done`] is ignored.
    pub fn report(&mut self, result: Result<(), Failure>) {
        self.step = match result {
            Ok(()) => self.step_after_success(),
            Err(failure) => self.step_after_failure(failure),
        };
    }

    fn rename(&self, from: Member, to: Member) -> Action {
        Action::Rename { from: self.naming.member(from), to: self.naming.member(to) }
    }

    /// The first step behind the journal's.
    fn first_step(&mut self) -> Step {
        match (self.at, self.stage) {
            (At::Same, Stage::None) => Step::Done(Outcome::Unchanged),
            (At::Same, Stage::Rotate) if self.direct => Step::Create,
            (At::Same, Stage::Rotate) if self.names == Scheme::Dated => Step::PutAway,
            (At::Same, Stage::Rotate) if self.keeps_backups => self.shift_or_create(),
            (At::Same, Stage::Truncate) if !self.keeps_backups => Step::Truncate,
            (At::Same, Stage::Rotate | Stage::Truncate) => Step::Abandon(Outcome::Unchanged),
            (At::Archived | At::Other | At::Missing, _) => Step::Create,
        }
    }

    fn shift_or_create(&mut self) -> Step {
        let next = self.chain.next_move();
        if next.is_some() && !self.chain.is_next(Member::LOG) {
            return next.map_or(Step::Create, Step::Shift); // what a rotation before this one has put off
        }
        let live = (self.at == At::Same).then_some(Member::LOG);
        if next.is_none() && live.is_some() && !self.chain.is_next(Member::LOG) {
            self.chain.next_zero(live);
            return self.shift_or_create();
        }
        if live.is_some() && self.chain.moves() > self.at_once {
            self.archive = self.naming.member(WAITING);
            return Step::PutAway;
        }
        next.map_or(Step::Create, Step::Shift)
    }

    fn step_after_success(&mut self) -> Step {
        match self.step {
            Step::Journal => self.first_step(),
            Step::Shift(done) => self.moved(done),
            Step::PutAway => {
                self.at = At::Archived;
                Step::Create
            }
            Step::Truncate => Step::Finish(Outcome::Truncated),
            Step::Create if self.stage == Stage::Rotate => Step::Finish(Outcome::Rotated),
            Step::Create => Step::Finish(Outcome::Reopened),
            Step::PutBack(failure) => Step::Abandon(Outcome::Kept(failure)),
            Step::Finish(outcome) => self.finished(outcome),
            Step::Drop(member, outcome) => self.dropped(member, outcome),
            Step::Abandon(outcome) | Step::Done(outcome) => Step::Done(outcome),
        }
    }

    fn step_after_failure(&mut self, failure: Failure) -> Step {
        match self.step {
            Step::Shift(Move::Rename { from: gone, .. } | Move::Remove(gone))
                if failure == Failure::NotFound =>
            {
                self.vanished(gone)
            }
            Step::PutAway if failure == Failure::NotFound => {
                self.at = At::Missing;
                Step::Create
            }
            Step::Shift(_) | Step::PutAway | Step::Truncate => Step::Abandon(Outcome::Kept(failure)),
            // Nothing was renamed: the old file is still the log.
            Step::Create if self.direct && self.at == At::Same => Step::Abandon(Outcome::Kept(failure)),
            Step::Create if self.can_put_back() => Step::PutBack(failure),
            Step::Journal | Step::Create | Step::Finish(_) | Step::Abandon(_) => {
                Step::Done(Outcome::Held(failure))
            }
            Step::PutBack(first) => Step::Done(Outcome::Held(first)),
            // The next rotation removes it.
            Step::Drop(member, outcome) => self.dropped(member, outcome),
            Step::Done(outcome) => Step::Done(outcome),
        }
    }

    fn moved(&mut self, done: Move) -> Step {
        self.chain.apply(done);
        if matches!(done, Move::Rename { from: Member::LOG, .. }) {
            self.at = At::Archived;
        }
        self.shift_or_create()
    }

    /// The new file is the log: now, and not before, the oldest may go.
    fn finished(&self, outcome: Outcome) -> Step {
        let fallen = self.chain.fallen().filter(|_| outcome == Outcome::Rotated);
        fallen.map_or(Step::Done(outcome), |member| Step::Drop(member, outcome))
    }

    fn dropped(&mut self, member: Member, outcome: Outcome) -> Step {
        self.chain.forget(member);
        self.finished(outcome)
    }

    /// Someone else removed it since the listing, so its number is free.
    fn vanished(&mut self, gone: Member) -> Step {
        self.chain.forget(gone);
        if gone == Member::LOG {
            self.at = At::Missing;
        }
        self.shift_or_create()
    }

    /// Only what a rotation of ours has put away; what someone else moved stays where they want it.
    fn can_put_back(&self) -> bool {
        self.at == At::Archived && self.stage == Stage::Rotate
    }
}
