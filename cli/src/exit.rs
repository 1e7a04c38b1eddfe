//! Exit codes and the one paragraph that goes with each.
//!
//! 0 done, 1 the run failed, 2 wrong usage, 3 refused before running, 4 bad input data, 5 `verify` found a
//! difference, 130/143 interrupted. Called by `main` alone, so that every failure looks the same.

use crate::interrupt;
use blockwise::Error;
use blockwise::core::Fault;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::any::Any;
use std::path::Path;
use std::process::ExitCode;

/// `verify` found a difference.
pub(crate) const DIFFERENT: u8 = 5;

/// Prints what clap says of the command line: help and version as they are, faults as one paragraph.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print(); // a closed pipe is nobody's fault
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            let text = error.render().to_string();
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            eprintln!("arrayctl: {}", lines.join("\n"));
            if names_one_file_too_many(error) {
                eprintln!("Several files are read as one by a pattern in quotes, such as 'era5_*.nc'.");
            }
            ExitCode::from(2)
        }
    }
}

/// Whether there are more arguments than a command takes, and several are files: as where a shell made files of a pattern.
fn names_one_file_too_many(error: &clap::Error) -> bool {
    let is_name = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => !argument.starts_with('-'),
        _ => false,
    };
    let files = || std::env::args_os().skip(1).filter(|argument| Path::new(argument).exists());
    error.kind() == ErrorKind::UnknownArgument && is_name && files().nth(1).is_some()
}

/// Prints why a command failed.
pub(crate) fn report(error: &Error) -> ExitCode {
    if error.fault() == Fault::Cancelled {
        let signal = interrupt::received();
        eprintln!("arrayctl: interrupted{}", resume_hint());
        return ExitCode::from(interrupt::exit_code(signal));
    }
    let text = error.to_string();
    let paragraph: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    eprintln!("arrayctl: {}", paragraph.join(" "));
    if let Error::Expression(fault) = error {
        // Below the paragraph, the place that it speaks of.
        fault.caret().lines().for_each(|line| eprintln!("  {line}"));
    }
    ExitCode::from(match error.fault() {
        Fault::Usage => 2,
        Fault::Refused => 3,
        Fault::BadInput => 4,
        _ => 1,
    })
}

/// Prints that the program has a bug.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> ExitCode {
    let message = panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    let message = message.replace('\n', " ");
    eprintln!(
        "arrayctl: internal error: {message}; this is a bug in arrayctl: please report it with the command"
    );
    ExitCode::from(1)
}

/// How an interrupted command is finished, if it is one that writes.
fn resume_hint() -> String {
    let arguments: Vec<String> = std::env::args().collect();
    let stores =
        arguments.iter().any(|argument| argument.starts_with("-o") || argument.starts_with("--output"));
    let writes = match arguments.get(1).map(String::as_str) {
        Some("convert" | "rechunk") => true,
        Some("eval" | "reduce") => stores,
        _ => false,
    };
    if !writes {
        return String::new();
    }
    let quoted = arguments.iter().filter(|argument| *argument != "--resume").map(|argument| quote(argument));
    format!("; finish it with: {} --resume", quoted.collect::<Vec<_>>().join(" "))
}

/// `argument` as a shell reads it back.
fn quote(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        assert_eq!(quote("a.nc::t2m"), "a.nc::t2m");
        assert_eq!(quote("it's *"), r"'it'\''s *'");
        assert_eq!(quote(""), "''");
    }
}
