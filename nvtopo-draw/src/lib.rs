//! Pictures of machines. What they say is worded as the core's texts are.

pub mod svg;
