//! `completions`: the script that lets a shell complete arrayctl's commands and options.
//!
//! Called by [`super::run`].

use crate::args::Cli;
use crate::text;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  arrayctl completions bash > ~/.local/share/bash-completion/completions/arrayctl
  arrayctl completions zsh > ~/.zfunc/_arrayctl
  arrayctl completions fish > ~/.config/fish/completions/arrayctl.fish")]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "arrayctl", &mut script);
    text::print(String::from_utf8_lossy(&script).trim_end());
}
