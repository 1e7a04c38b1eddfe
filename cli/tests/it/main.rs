//! The program as its users run it: exit codes, text, JSON, and what is on disk afterwards.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod choices;
mod compute;
mod device;
mod jobs;
mod run;
mod small;
mod svd;
