//! Reports as texts: for people, as JSON, and for programs that collect the results of tests and scanners.

mod json;
mod junit;
mod sarif;
mod text;

pub use text::TextStyle;
