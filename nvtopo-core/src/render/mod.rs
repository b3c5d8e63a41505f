//! Answers as texts for programs, one file or folder for each format. Tables and pictures for people are drawn by the crate
//! `nvtopo-draw`; placements are computed in [`crate::solve`], sources read in [`crate::source`].

pub mod json;
mod launch;
mod selection;

pub use crate::units::{count_of, exact_bytes, runs};
pub use launch::{LAUNCH_FORMATS, LaunchFormat, LaunchMemory, launch_format};
pub use selection::{SELECTION_FORMATS, SelectionFormat, selection_format};
