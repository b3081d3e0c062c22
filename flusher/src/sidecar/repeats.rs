//! What is said again and again: once, then at doubling distances, then that it is over.

use super::words::in_words;
use crate::units::{show_count, show_time};
use crlog::Event;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The first distance between two lines that say the same, and the longest.
const DISTANCE_MIN: Duration = Duration::from_secs(2);
const DISTANCE_MAX: Duration = Duration::from_secs(3600);
/// So many different texts are remembered.
const TEXTS_MAX: usize = 64;

/// Errors that were said and are not known to be over.
#[derive(Debug, Default)]
pub struct Repeats {
    known: HashMap<String, Repeated>,
}

#[derive(Debug)]
struct Repeated {
    first: Instant,
    /// It is said again when it occurs then or later.
    next: Instant,
    distance: Duration,
    /// How often it has occurred.
    times: u64,
}

impl Repeats {
    /// The line for an event that occurs now; `None` if it says what was said a short time ago.
    pub fn line(&mut self, event: &Event, now: Instant) -> Option<String> {
        let line = in_words(event);
        if matches!(event, Event::Recovered) {
            return Some(self.recovered(&line, now));
        }
        let Some(what) = what(event) else { return Some(line) };
        let Some(known) = self.known.get_mut(what) else {
            if self.known.len() >= TEXTS_MAX {
                self.known.clear();
            }
            let distance = DISTANCE_MIN;
            let repeated = Repeated { first: now, next: now + distance, distance, times: 1 };
            self.known.insert(what.to_owned(), repeated);
            return Some(line);
        };
        known.times += 1;
        if now < known.next {
            return None;
        }
        known.distance = (known.distance * 2).min(DISTANCE_MAX);
        known.next = now + known.distance;
        Some(format!("{line} ({})", known.so_far(now)))
    }

    fn recovered(&mut self, line: &str, now: Instant) -> String {
        let longest = self.known.drain().map(|(_, known)| known).min_by_key(|known| known.first);
        match longest.filter(|known| known.times > 1) {
            Some(known) => format!("{line} ({})", known.so_far(now)),
            None => line.to_owned(),
        }
    }
}

impl Repeated {
    fn so_far(&self, now: Instant) -> String {
        format!("{} times in {}", show_count(self.times), show_time(now.duration_since(self.first)))
    }
}

/// What an event that may come again and again says, without the figures that change.
fn what(event: &Event) -> Option<&str> {
    match event {
        Event::Error { what, .. }
        | Event::IndexInterrupted { what, .. }
        | Event::PackFailed { what, .. }
        | Event::OwnerRefused { what, .. }
        | Event::LinkFailed { what, .. }
        | Event::HookFailed { what, .. } => Some(what),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn full() -> Event {
        Event::Error { what: "no room".into(), errno: 28, retry: Duration::from_millis(500) }
    }

    #[test]
    fn the_same_error_is_said_at_doubling_distances() {
        let (mut repeats, begun) = (Repeats::default(), Instant::now());
        let at = |half_seconds: u32| begun + Duration::from_millis(500) * half_seconds;
        let said: Vec<u32> =
            (0..7200).filter(|i| repeats.line(&full(), at(*i)).is_some()).map(|i| i / 2).collect();
        assert_eq!(said, [0, 2, 6, 14, 30, 62, 126, 254, 510, 1022, 2046]);
        let over = repeats.line(&Event::Recovered, at(7200)).unwrap();
        assert!(over.contains("7,200 times in"), "{over}");
        assert!(repeats.line(&full(), at(7201)).is_some(), "it is a new one");
    }

    #[test]
    fn another_error_is_said_at_once() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        assert!(repeats.line(&full(), now).is_some());
        let other = Event::Error { what: "read-only".into(), errno: 30, retry: Duration::ZERO };
        assert!(repeats.line(&other, now).is_some());
        assert_eq!(repeats.line(&full(), now), None);
        assert!(repeats.line(&Event::Reopened, now).is_some());
        assert!(repeats.line(&Event::Reopened, now).is_some(), "no error");
    }
}
