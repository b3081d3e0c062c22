//! The driver's hands on the program that is run after each rotation: one run at a time, in the order of the rotations.
//!
//! The queue belongs to the process, not to a turn of its flusher. A thread waits for each run ([`crate::hook`]); here,
//! between two sweeps, its end is heard and the next one begun.
//!
//! | found | done | counted |
//! |---|---|---|
//! | the file was renamed since (a numbered chain is shifted) | looked for by its identity: the program gets the present name, and the file open, whatever it is called later | - |
//! | the file has gone | told, given up | `HookErrors` |
//! | the program fails, cannot be started, or takes too long | tried again after 1 s, 5 s, 25 s, then given up; later rotations wait | `HookErrors` each time |
//! | more rotations wait than [`QUEUE_MAX`] | the new one is not queued; told | `HookErrors` |
//! | compression | a file is not packed before its program has ended or was given up | - |
//! | the flusher ends | the run under way has 5 s more, then it is killed; what waits is told of | `HookErrors` |
//! | the flusher is killed | the program under way goes on; what waits is forgotten | - |

use super::{Event, Flusher};
use crate::attached::Attached;
use crate::hook::{Hook, Job, Run, retry_after};
use crate::ring::layout::Counter;
use crate::ring::sweep::bump;
use crate::sys::{self, FileId};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Rotations that wait for their program.
const QUEUE_MAX: usize = 100;
/// What a run has when the flusher ends.
const GRACE: Duration = Duration::from_secs(5);

/// A rotation whose program has not yet ended well.
#[derive(Debug)]
struct Waiting {
    file: FileId,
    /// As it was called when it was rotated.
    name: String,
    bytes: u64,
    /// Counted from 1.
    attempt: u32,
}

/// What a process runs after rotations.
#[derive(Debug)]
pub(crate) struct Hooks {
    hook: Arc<Hook>,
    /// Whose bell is rung at the end of a run.
    bell: Arc<Mutex<Weak<Attached>>>,
    /// The first is the one that runs, or is tried again.
    queue: VecDeque<Waiting>,
    run: Option<Run>,
    due_ns: u64,
}

impl Hooks {
    pub(crate) fn new(hook: Arc<Hook>) -> Hooks {
        Hooks { hook, bell: Arc::default(), queue: VecDeque::new(), run: None, due_ns: 0 }
    }

    /// After the last turn, when others may flush already: waits for the run under way, but not for long.
    pub(crate) fn finish(&mut self, tell: &mut dyn FnMut(Event)) {
        let (Some(run), Some(last)) = (self.run.take(), self.queue.pop_front()) else { return };
        tell(match run.finish(GRACE) {
            Ok(()) => Event::HookRan { name: last.name },
            Err(why) => Event::HookFailed { what: format!("{}: {why}", self.title(&last.name)), retry: None },
        });
    }

    fn title(&self, name: &str) -> String {
        format!("the program {} for {name}", self.hook.argv.first().map_or("", String::as_str))
    }
}

impl<'a> Flusher<'a> {
    /// From here on a program is run after each rotation.
    pub(crate) fn runs(&mut self, hooks: Option<&'a mut Hooks>, bell: Weak<Attached>) {
        if let Some(hooks) = &hooks {
            *hooks.bell.lock().unwrap_or_else(PoisonError::into_inner) = bell;
        }
        self.hooks = hooks;
    }

    /// This file was rotated.
    pub(super) fn hook_soon(&mut self, file: FileId, name: &str, bytes: u64) {
        let Some(hooks) = &mut self.hooks else { return };
        if hooks.queue.len() >= QUEUE_MAX {
            let what = format!("{}: {QUEUE_MAX} others wait already", hooks.title(name));
            return self.hook_failed(what, None);
        }
        hooks.queue.push_back(Waiting { file, name: name.to_owned(), bytes, attempt: 1 });
    }

    /// Whether this file is to be left as it is, because a program is run for it or will be.
    pub(super) fn hook_needs(&self, file: FileId) -> bool {
        self.hooks.as_ref().is_some_and(|hooks| hooks.queue.iter().any(|w| w.file == file))
    }

    /// When the next run is due, if none is under way.
    pub(super) fn hook_due_ns(&self) -> Option<u64> {
        let hooks = self.hooks.as_ref().filter(|h| h.run.is_none() && !h.queue.is_empty())?;
        Some(hooks.due_ns)
    }

    /// Between two sweeps: has the run ended, is there another one to begin?
    pub(super) fn run_hooks(&mut self, now: u64) {
        let Some(hooks) = &mut self.hooks else { return };
        if let Some(result) = hooks.run.as_ref().and_then(Run::poll) {
            hooks.run = None;
            self.hook_ended(result);
        }
        // While a rotation is under way names are in between, and a retired segment's file is the successor's.
        let settled = self.found.is_none() && self.cell.op == 0 && self.retired_ns.is_none();
        if settled && self.hook_due_ns().is_some_and(|due| due <= now) {
            self.begin_hook();
        }
    }

    fn begin_hook(&mut self) {
        let Some(hooks) = &self.hooks else { return };
        let Some(next) = hooks.queue.front() else { return };
        let Some(file) = self.present_path(next) else {
            return self.give_hook_up("its file has gone");
        };
        let content = match sys::open_for_child(&file, next.file) {
            Ok(Some(content)) => content,
            Ok(None) => return self.give_hook_up("its file has gone"),
            Err(e) => return self.hook_ended(Err(format!("its file cannot be opened: {e}"))),
        };
        let job =
            Job { log: self.at.log_path.clone(), file, content, bytes: next.bytes, attempt: next.attempt };
        let bell = Arc::clone(&hooks.bell);
        let wake = move || {
            let at = bell.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
            if let Some(at) = at {
                at.ring();
            }
        };
        match Run::start(Arc::clone(&hooks.hook), job, wake) {
            Ok(run) => {
                if let Some(hooks) = &mut self.hooks {
                    hooks.run = Some(run);
                }
            }
            Err(e) => self.hook_ended(Err(format!("no thread for it: {e}"))),
        }
    }

    fn present_path(&self, of: &Waiting) -> Option<PathBuf> {
        let is_it = |name: &str| self.identity_of(name).is_ok_and(|id| id == Some(of.file));
        if is_it(&of.name) {
            return Some(self.at.dir.join(&of.name));
        }
        let names = sys::dir::list(&self.at.dir).ok()?;
        let ours = |name: &&String| self.naming.standing(name).is_some();
        let name = names.iter().filter(ours).find(|name| **name != self.live_name() && is_it(name))?;
        Some(self.at.dir.join(name))
    }

    fn hook_ended(&mut self, result: Result<(), String>) {
        let Some(hooks) = &mut self.hooks else { return };
        let Some(first) = hooks.queue.front_mut() else { return };
        let Err(why) = result else {
            let name = std::mem::take(&mut first.name);
            hooks.queue.pop_front();
            self.pack_soon();
            return (self.tell)(Event::HookRan { name });
        };
        let Some(retry) = retry_after(first.attempt) else { return self.give_hook_up(&why) };
        first.attempt += 1;
        hooks.due_ns = sys::monotonic_ns() + u64::try_from(retry.as_nanos()).unwrap_or(u64::MAX);
        let name = first.name.clone();
        let what = format!("{}: {why}", hooks.title(&name));
        self.hook_failed(what, Some(retry));
    }

    fn give_hook_up(&mut self, why: &str) {
        let Some(hooks) = &mut self.hooks else { return };
        let Some(first) = hooks.queue.pop_front() else { return };
        hooks.due_ns = 0;
        let what = format!("{}: {why}", hooks.title(&first.name));
        self.pack_soon();
        self.hook_failed(what, None);
    }

    fn hook_failed(&mut self, what: String, retry: Option<Duration>) {
        bump(self.at.mem(), Counter::HookErrors, 1);
        (self.tell)(Event::HookFailed { what, retry });
    }

    /// The process flushes no more: what waits behind the run under way is given up.
    pub(crate) fn give_hooks_up(&mut self) {
        let Some(hooks) = &mut self.hooks else { return };
        let running = usize::from(hooks.run.is_some());
        let left = hooks.queue.drain(running.min(hooks.queue.len())..).count();
        if left > 0 {
            bump(self.at.mem(), Counter::HookErrors, left as u64);
            (self.tell)(Event::HooksLeft { rotations: left });
        }
    }
}
