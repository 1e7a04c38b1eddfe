//! The subcommands, one file each: arguments, the call into the library, the text or JSON of the result.
//!
//! Called by `main`.

pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod functions;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod pyramid;
pub(crate) mod rechunk;
pub(crate) mod reduce;
pub(crate) mod runs;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod svd;
pub(crate) mod verify;

use crate::args::{Cli, Command};
use blockwise::Result;
use std::process::ExitCode;

/// Runs the command that was asked for.
pub(crate) fn run(cli: &Cli) -> Result<ExitCode> {
    crate::text::start_log(&cli.output);
    match &cli.command {
        Command::Info(arguments) => info::run(arguments, &cli.output)?,
        Command::Ls(arguments) => ls::run(arguments, &cli.output)?,
        Command::Convert(arguments) => convert::run(arguments, &cli.output)?,
        Command::Rechunk(arguments) => rechunk::run(arguments, &cli.output)?,
        Command::Eval(arguments) => eval::run(arguments, &cli.output)?,
        Command::Reduce(arguments) => reduce::run(arguments, &cli.output)?,
        Command::Stats(arguments) => stats::run(arguments, &cli.output)?,
        Command::Show(arguments) => show::run(arguments, &cli.output)?,
        Command::Pyramid(arguments) => pyramid::run(arguments, &cli.output)?,
        Command::Svd(arguments) => svd::run(arguments, &cli.output)?,
        Command::Functions(arguments) => functions::run(arguments, &cli.output)?,
        Command::Verify(arguments) => return verify::run(arguments, &cli.output),
        Command::Runs(arguments) => runs::run(arguments, &cli.output)?,
        Command::Doctor(arguments) => doctor::run(arguments, &cli.output)?,
        Command::Demo(arguments) => demo::run(arguments, &cli.output)?,
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => man::run(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
