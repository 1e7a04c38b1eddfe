//! `arrayctl`: inspect, convert, rechunk, compute with and compare chunked arrays within a memory budget.
//!
//! Thin commands over the `blockwise` library, one file a subcommand. Invariants: results go to standard output,
//! everything else to standard error; every failure is one paragraph and an exit code of the contract in
//! [`exit`]; no command leaves half an output. The entry of the program: nothing calls it.
// Doc comments of arguments are their help texts, where brackets mean "optional".
#![cfg_attr(doc, allow(rustdoc::broken_intra_doc_links))]

mod args;
mod commands;
mod engine;
mod exit;
mod interrupt;
mod json;
mod progress;
mod side_file;
mod text;
mod values;

use args::Cli;
use clap::Parser;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    // A panic is a bug of ours; the user gets one paragraph about it, not a backtrace.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(|| commands::run(&cli)));
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => exit::report(&error),
        Err(panic) => exit::panicked(&*panic),
    }
}
