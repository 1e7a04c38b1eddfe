//! What the programs of `make bench` take from the command line: words, and the budget of their session.

use blockwise::prelude::*;

/// The words of the command line, and a session with the budget that `--memory SIZE` gives, 2 GiB without.
pub(crate) fn arguments() -> Result<(Vec<String>, Session), blockwise::Error> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut budget_bytes = 2 << 30;
    if let Some(at) = words.iter().position(|word| word == "--memory") {
        words.remove(at);
        let size = if at < words.len() { words.remove(at) } else { String::new() };
        budget_bytes = blockwise::size::parse_bytes(&size)?;
    }
    Ok((words, Session::with_budget(budget_bytes)))
}
