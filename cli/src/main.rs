//! `arrayctl`: thin commands over `blockwise`, one file a subcommand.
fn main() {}
