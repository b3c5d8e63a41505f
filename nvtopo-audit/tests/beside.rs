//! A made machine with saved texts beside it.

use crate::machine::Machine;
use crate::support::Folder;
use nvtopo::source::{Contents, Locator, SavedText};
use nvtopo_audit::{Audit, Profile, Report};

/// Audits a machine with saved outputs beside it, by the words of a profile.
pub(crate) fn beside(machine: &Machine, texts: &[(&str, &str)], expected: &str) -> Report {
    let written = machine.write();
    let mut contents = Contents::open(&[Locator::Path(written.0.clone())]).unwrap();
    contents.texts.extend(texts.iter().map(|(name, text)| SavedText::new(*name, *text)));
    run(&contents, expected)
}

/// Audits saved outputs alone. The first has to tell a machine.
pub(crate) fn of_texts(name: &str, texts: &[(&str, &str)], expected: &str) -> Report {
    run(&Folder::of(name, texts).read(), expected)
}

fn run(contents: &Contents, expected: &str) -> Report {
    let profile = Profile::parse("profile", &format!("[expect]\n{expected}\n")).unwrap();
    Audit::of(contents).profile(profile).run().unwrap()
}
