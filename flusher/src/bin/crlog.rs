//! The tool: see the modules of `crlog_flusher` named like its commands.

use clap::{Parser, Subcommand};
use crlog_flusher::console::{Console, Failure};
use crlog_flusher::{demo, doctor, pipe, recover, retention, rotate, set, soak, stat, stress, verify};
use std::process::ExitCode;

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
    Stat(stat::StatArgs),
    Set(Box<set::SetArgs>),
    Rotate(rotate::RotateArgs),
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
        Command::Stat(args) => stat::main(args, console),
        Command::Set(args) => set::main(args, console),
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

fn main() -> ExitCode {
    let console = Console::new("crlog");
    match console.arguments::<Arguments>() {
        Ok(args) => console.end(run(&args.command, console)),
        Err(status) => status,
    }
}
