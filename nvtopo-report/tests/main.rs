//! Reports on presets, recorded and made machines: as a page, as Markdown and as JSON.

mod limits;
mod names;
mod page;
mod parts;
mod support;
mod ticket;
