//! Pictures of machines. Their texts are those of the core.

pub mod svg;
