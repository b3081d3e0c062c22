//! What happens, in words for people.

use crate::units::{show_bytes, show_count, show_time};
use crlog::Event;

/// What is told on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// Everything that happens.
    All,
    /// What somebody may have to look at.
    Warnings,
    /// What keeps records from the file, and its end.
    Errors,
}

/// The least that must be told for an event to be told.
pub fn weight(event: &Event) -> Told {
    match event {
        Event::Error { .. } | Event::Recovered | Event::IndexInterrupted { .. } | Event::IndexResumed => {
            Told::Errors
        }
        Event::Reaped { lost_unfinished: true, .. }
        | Event::Moved
        | Event::NotRotated { .. }
        | Event::FileRemoved { .. }
        | Event::PackFailed { .. }
        | Event::OwnerRefused { .. }
        | Event::LinkFailed { .. }
        | Event::HookFailed { .. }
        | Event::HooksLeft { .. } => Told::Warnings,
        _ => Told::All,
    }
}

/// A sentence.
pub fn in_words(event: &Event) -> String {
    match event {
        Event::Waiting { pid } => {
            format!("another sidecar, process {pid}, writes the file: waiting to take over")
        }
        Event::Elected { epoch, truncated_bytes: 0 } => {
            format!("writing the file, as flusher number {epoch} of this log")
        }
        Event::Elected { epoch, truncated_bytes } => {
            format!(
                "writing the file, as flusher number {epoch} of this log; cut {truncated_bytes} bytes that the last one left \
                 unfinished, they are written again"
            )
        }
        Event::Rotated { file_bytes } => format!("rotated at {}", show_bytes(*file_bytes)),
        Event::Error { what, retry, .. } => {
            format!("error: {what}; trying again in {}, records wait in the ring", show_time(*retry))
        }
        Event::NotRotated { what } => format!("warning: {what}"),
        Event::Recovered => "the error is gone, records are written again".into(),
        Event::FileRemoved { bytes } => format!(
            "warning: the log file was removed, or replaced, by another program, with {} in it: a new one is begun",
            show_bytes(*bytes)
        ),
        Event::Reopened => "reopened the file".into(),
        Event::Reaped { pid, name, lost_unfinished, records } => {
            let lost = if *lost_unfinished { "; the one record it was writing is lost" } else { "" };
            let records = show_count(*records);
            format!("process {pid} ({name}) died without leaving, after {records} records: cleaned up{lost}")
        }
        Event::Moved => {
            "somebody removed the shared memory or the lock file of this log: moved to a new one, nothing is lost".into()
        }
        Event::IndexInterrupted { what, retry, .. } => {
            format!(
                "error: {what}; the log goes on, what is logged meanwhile cannot be verified; trying again in {}",
                show_time(*retry)
            )
        }
        Event::IndexResumed => "the index is written again".into(),
        Event::Removed { name, bytes, reason } => {
            format!("removed: {name}, {}: {}", show_bytes(*bytes), crate::retention::why(reason))
        }
        Event::Packed { name, from_bytes, to_bytes } => {
            format!("compressed: {name}, {} of {}", show_bytes(*to_bytes), show_bytes(*from_bytes))
        }
        Event::PackFailed { what, retry, .. } => {
            format!("warning: {what}; archives stay as they are, trying again in {}", show_time(*retry))
        }
        Event::OwnerRefused { what, .. } => {
            format!("warning: {what}; it belongs to this process's user, and the log goes on")
        }
        Event::LinkFailed { what, .. } => format!("warning: {what}; the log goes on"),
        Event::HookRan { name } => format!("the program after rotations has done its work for {name}"),
        Event::HookFailed { what, retry: Some(retry) } => {
            format!("warning: {what}; trying again in {}", show_time(*retry))
        }
        Event::HookFailed { what, retry: None } => format!("warning: {what}; given up"),
        Event::HooksLeft { rotations } => {
            format!("warning: the program after rotations was not run for {rotations} of them, because this flusher ends")
        }
        Event::Stopped => "stopped".into(),
        other => format!("{other:?}"),
    }
}
