//! The program `nvtopod`.

mod driver;
mod program;
mod prometheus;
mod recorded;
mod scrapes;
mod serving;
mod starting;
