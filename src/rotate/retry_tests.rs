//! The delays. Dropping the `min` with `DELAY_MS_MAX` fails `delays_double_up_to_half_a_minute`.
use super::super::machine::Failure;
use super::*;

const FAILED: Outcome = Outcome::Kept(Failure::Other);

#[test]
fn without_a_failure_an_attempt_is_due_at_once() {
    assert!(Backoff::default().is_due(0));
}

#[test]
fn delays_double_up_to_half_a_minute() {
    let mut backoff = Backoff::default();
    let mut delays = Vec::new();
    for _ in 0..40 {
        backoff.note(FAILED, 1_000);
        delays.push(backoff.due_ms() - 1_000);
    }
    assert_eq!(delays[..9], [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600]);
    assert!(delays[9..].iter().all(|delay| *delay == 30_000));
    assert_eq!(backoff.failures(), 40);
}

#[test]
fn an_attempt_is_due_when_the_delay_is_over_and_not_before() {
    let mut backoff = Backoff::default();
    backoff.note(Outcome::Held(Failure::Exists), 500);
    assert!(!backoff.is_due(599));
    assert!(backoff.is_due(600));
}

#[test]
fn a_success_starts_the_delays_anew() {
    let mut backoff = Backoff::default();
    backoff.note(FAILED, 500);
    backoff.note(FAILED, 600);
    backoff.note(Outcome::Rotated, 800);
    assert_eq!(backoff, Backoff::default());
}

#[test]
fn a_clock_at_its_end_does_not_wrap() {
    let mut backoff = Backoff::default();
    backoff.note(FAILED, u64::MAX);
    assert_eq!(backoff.due_ms(), u64::MAX);
}
