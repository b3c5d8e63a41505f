//! Any text that is read: every writer, and what reads that again, a comparison and a picture.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/through.rs"]
mod through;

fuzz_target!(|bytes: &[u8]| {
    _ = through::through(bytes, None);
});
