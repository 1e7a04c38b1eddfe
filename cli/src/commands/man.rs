//! `man`: the manual page of the program and all its commands, in roff.
//!
//! Called by [`super::run`].

use crate::args::Cli;
use crate::text;
use blockwise::{Error, Result};
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

/// Print the manual page
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl man | man -l -
  arrayctl man > /usr/local/share/man/man1/arrayctl.1
  arrayctl man rechunk | man -l -")]
pub(crate) struct Arguments {
    /// The page of this command
    command: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut program = Cli::command();
    program.build();
    let page = match &arguments.command {
        None => program,
        Some(name) => page_of(&program, name)?,
    };
    let mut roff = Vec::new();
    Man::new(page).render(&mut roff).map_err(|source| Error::Os {
        path: "manual page".to_owned(),
        action: "writing",
        source,
    })?;
    text::print(String::from_utf8_lossy(&roff).trim_end());
    Ok(())
}

fn page_of(program: &Command, name: &str) -> Result<Command> {
    let command = program.get_subcommands().find(|command| command.get_name() == name);
    let unknown = || Error::Argument {
        what: "command",
        text: name.to_owned(),
        why: "see `arrayctl --help` for those there are".to_owned(),
    };
    Ok(command.ok_or_else(unknown)?.clone())
}
