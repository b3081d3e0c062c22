//! The configuration read again: what is new is started, what is gone is left, what can change is changed, and of the
//! rest is said when it takes effect.

use super::crew::{Crew, State};
use super::tell;
use crate::config::LogConfig;
use crate::config::keys::{KEYS, Key};
use crlog::Options;
use std::sync::atomic::Ordering::Relaxed;

const LATER: &str = "takes effect when all processes of the log have ended";
const ANEW: &str = "takes effect when this process is started anew";

impl Crew {
    /// Reads the configuration again; if anything is wrong with it, nothing is changed.
    pub(super) fn reload(&mut self) {
        let logs = match self.sources.load().logs {
            Ok(logs) => logs,
            Err(problems) => {
                tell(self.console, &problems);
                self.console.err("the configuration is refused as a whole, what held before goes on");
                return;
            }
        };
        let mut kept = vec![false; self.members.len()];
        let mut new = Vec::new();
        for log in logs {
            let found = self.members.iter().zip(&mut kept).position(|(m, kept)| {
                let found = !*kept && m.is(&log);
                *kept |= found;
                found
            });
            match found {
                Some(i) => self.renew(i, log),
                None => new.push(log),
            }
        }
        for (i, _) in kept.iter().enumerate().rev().filter(|(_, kept)| !**kept) {
            self.leave(i, None);
        }
        for log in new {
            self.say(&log, "new in the configuration: started");
            self.add(log);
        }
    }

    fn renew(&mut self, i: usize, new: LogConfig) {
        let Some(member) = self.members.get_mut(i) else { return };
        member.verbose.store(new.is_verbose(), Relaxed);
        member.config = new.clone();
        match member.state {
            State::Running(_) => self.catch_up(i),
            State::Leaving(..) => self.leave(i, Some(new)),
            // It is opened as it is to be.
            State::Waiting(_) => {}
        }
    }

    /// Has a sidecar do what was changed since it was told what its log is to be; not before it has the log open.
    pub(super) fn catch_up(&mut self, i: usize) {
        let Some(member) = self.members.get_mut(i) else { return };
        if let State::Running(worker) = &mut member.state
            && worker.open
        {
            let old = std::mem::replace(&mut worker.config, member.config.clone());
            let (new, open) = (member.config.clone(), worker.options.clone());
            let keys: Vec<&Key> = changed(&old, &new).collect();
            self.change(&new, &keys, open);
        }
    }

    /// Changes what can be changed in a log that was opened so, all of it at once, as `crlog set` does.
    fn change(&self, log: &LogConfig, keys: &[&Key], open: Options) {
        let mut options = Options::new(&log.path);
        let mut now = Vec::new();
        for key in keys {
            let said = log.settings.get(key.name).map(|(setting, _)| setting.clone());
            match said.or_else(|| key.by_default()) {
                _ if key.name == "verbose" => {
                    self.say(log, &format!("verbose = {} holds now", log.is_verbose()));
                }
                Some(setting) if key.is_live() => {
                    options = setting.apply(options);
                    now.push(format!("{} = {} holds now", key.name, setting.value));
                }
                _ if key.is_own() => self.say(log, &format!("{} {ANEW}", key.name)),
                _ => self.say(log, &format!("{} {LATER}", key.name)),
            }
        }
        if now.is_empty() {
            return;
        }
        if let Some((names, _)) = log.settings.get("names") {
            // Else a change of the times would decide it.
            options = names.apply(options);
        }
        match open.attach().and_then(|open| open.change(&options)) {
            Ok(_) => now.iter().for_each(|what| self.say(log, what)),
            Err(e) => self.say(log, &format!("error: nothing is changed: {e}")),
        }
    }
}

/// The keys of which something else is said.
fn changed<'a>(old: &'a LogConfig, new: &'a LogConfig) -> impl Iterator<Item = &'static Key> + 'a {
    let value = |log: &LogConfig, key: &Key| log.settings.get(key.name).map(|(s, _)| s.value.clone());
    KEYS.iter().filter(move |key| value(old, key) != value(new, key))
}
