//! The only place that prints, and what a program ends with.
//!
//! | exit status | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed; one line on standard error says why and what to do |
//! | 2 | the arguments make no sense |
//! | 128 + n | ended by signal n, in good order where that was possible |

use clap::error::ErrorKind;
use std::ffi::OsString;
use std::io::Write;

/// Why a program cannot do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit status.
    pub status: u8,
    /// What happened and what to do about it.
    pub message: String,
}

// By value, so that both can be given to `map_err`.
#[allow(clippy::needless_pass_by_value)]
impl Failure {
    /// Something went wrong: exit status 1.
    pub fn failed(message: impl ToString) -> Failure {
        Failure { status: 1, message: message.to_string() }
    }

    /// The arguments make no sense: exit status 2.
    pub fn usage(message: impl ToString) -> Failure {
        Failure { status: 2, message: message.to_string() }
    }
}

/// Standard output and standard error of a program. A closed one is no reason to end.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    program: &'static str,
}

impl Console {
    /// For the program of this name, with which each line on standard error begins.
    pub fn new(program: &'static str) -> Console {
        Console { program }
    }

    /// A line on standard output.
    pub fn out(&self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// A line on standard error: always exactly one, written at once.
    pub fn err(&self, text: &str) {
        let line = format!("{}: {}\n", self.program, one_line(text));
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    /// The exit status of a program, after saying why if it failed.
    pub fn end(&self, result: Result<u8, Failure>) -> u8 {
        match result {
            Ok(status) => status,
            Err(failure) => {
                self.err(&failure.message);
                failure.status
            }
        }
    }

    /// The program's arguments, of which the first is its name; or how it ends, after the help or the one line that says
    /// what is wrong.
    pub fn arguments<A: clap::Parser>(&self, arguments: &[OsString]) -> Result<A, u8> {
        A::try_parse_from(arguments).map_err(|e| {
            if !e.use_stderr() {
                let _ = write!(std::io::stdout().lock(), "{}", e.render());
                return 0;
            }
            if e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                self.err("say what to do (--help explains)");
                return 2;
            }
            self.err(&complaint(&e.render().to_string()));
            2
        })
    }
}

/// The one line of an argument parser's many that says what is wrong.
fn complaint(rendered: &str) -> String {
    let first = rendered.split("\n\n").next().unwrap_or(rendered);
    let what = first.strip_prefix("error: ").unwrap_or(first);
    format!("{} (--help explains)", one_line(what))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_one_line() {
        let text =
            "error: the following required arguments were not provided:\n  <LOGFILE>\n\nUsage: x <LOGFILE>\n";
        assert_eq!(
            complaint(text),
            "the following required arguments were not provided: <LOGFILE> (--help explains)"
        );
    }
}
