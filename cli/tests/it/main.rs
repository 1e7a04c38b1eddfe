//! The program as its users run it: exit codes, text, JSON, and what is on disk afterwards.

mod choices;
mod jobs;
mod run;
mod small;
