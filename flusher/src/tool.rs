//! `crlog`, the tool: see the modules named like its commands. A program of another kind, such as a Python
//! interpreter, can be both tools, too.

use crate::console::{Console, Failure};
use crate::{
    demo, doctor, path, pipe, recover, retention, rotate, set, sidecar, soak, stat, stress, tail, verify,
    zmq_pull,
};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::Command as Process;
use std::sync::OnceLock;

const EXAMPLES: &str = "\
Examples:
  my-program 2>&1 | crlog pipe --max-bytes 10MB --backups 5 app.log
  crlog stat app.log
  crlog verify app.log
  crlog demo

`crlog COMMAND --help` tells more. Exit status: 0 done, 1 failed, 2 wrong arguments, 128+n ended by signal n.";

/// Many processes, one rotating log.
#[derive(Parser)]
#[command(name = "crlog", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Pipe(Box<pipe::PipeArgs>),
    ZmqPull(Box<zmq_pull::ZmqPullArgs>),
    Stat(stat::StatArgs),
    Tail(tail::TailArgs),
    Set(Box<set::SetArgs>),
    Rotate(rotate::RotateArgs),
    Path(path::PathArgs),
    Doctor(doctor::DoctorArgs),
    Recover(recover::RecoverArgs),
    Retention(retention::RetentionArgs),
    Verify(verify::VerifyArgs),
    Stress(stress::StressArgs),
    Soak(soak::SoakArgs),
    Demo(demo::DemoArgs),
    #[command(hide = true)]
    StressWorker(stress::worker::WorkerArgs),
    #[command(hide = true)]
    StressSidecar(stress::worker::ShareArgs),
}

fn run(command: &Command, console: Console) -> Result<u8, Failure> {
    match command {
        Command::Pipe(args) => pipe::main(args, console),
        Command::ZmqPull(args) => zmq_pull::main(args, console),
        Command::Stat(args) => stat::main(args, console),
        Command::Tail(args) => tail::main(args, console),
        Command::Set(args) => set::main(args, console),
        Command::Path(args) => path::main(args, console),
        Command::Rotate(args) => rotate::main(args, console),
        Command::Doctor(args) => doctor::main(args, console),
        Command::Recover(args) => recover::main(args, console),
        Command::Retention(args) => retention::main(args, console),
        Command::Verify(args) => verify::main(args, console),
        Command::Stress(args) => stress::main(args, console),
        Command::Soak(args) => soak::main(args, console),
        Command::Demo(args) => demo::main(args, console),
        Command::StressWorker(args) => stress::worker::main(args),
        Command::StressSidecar(args) => stress::worker::sidecar(args, console),
    }
}

/// Runs `crlog` with these arguments, of which the first is the program's name; returns the exit status.
pub fn main(arguments: &[OsString]) -> u8 {
    let console = Console::new("crlog");
    match console.arguments::<Arguments>(arguments) {
        Ok(args) => console.end(run(&args.command, console)),
        Err(status) => status,
    }
}

/// Runs `crlog-flusher`, likewise.
pub fn flusher(arguments: &[OsString]) -> u8 {
    let console = Console::new("crlog-flusher");
    match console.arguments(arguments) {
        Ok(args) => console.end(sidecar::main(&args, console)),
        Err(status) => status,
    }
}

/// What starts `crlog` again, if this is not its own program.
static HOST: OnceLock<Vec<OsString>> = OnceLock::new();

/// Says what starts `crlog` again: a program and its first arguments. Once; by default it is this program.
pub fn hosted_by(command: Vec<OsString>) {
    let _ = HOST.set(command);
}

/// A command that starts `crlog` once more; its arguments are to follow.
pub(crate) fn again() -> Result<Process, Failure> {
    match HOST.get().and_then(|words| words.split_first()) {
        Some((program, first)) => {
            let mut command = Process::new(program);
            command.args(first);
            Ok(command)
        }
        None => std::env::current_exe()
            .map(Process::new)
            .map_err(|e| Failure::failed(format!("this program does not find itself: {e}"))),
    }
}
