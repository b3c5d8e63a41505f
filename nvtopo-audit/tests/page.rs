//! `docs/checks.md`, which is written from the registry: `NVTOPO_UPDATE=1 cargo test -p nvtopo-audit page`.

use nvtopo_audit::check::{Theme, checks};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "\
# Checks

The checks of `nvtopo audit`, by subject. `nvtopo audit --explain CODE` prints one of them; `--only` and `--skip` take codes
and subjects. A check passes, warns or fails; it is *unknown* where evidence is missing, and *n/a* where the machine has
nothing of the kind. This page is written from the registry of checks.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for theme in Theme::ALL {
        let _ = write!(page, "\n## {}\n", theme.word());
        for check in checks().filter(|check| check.theme == theme) {
            let _ = write!(page, "\n### {}\n\n{} Severity: {}.\n\n", check.code, check.claim, check.severity);
            for (name, text) in [
                ("Evidence", check.evidence),
                ("Rule", check.rule),
                ("Remedy", check.remedy),
                ("Source", check.source),
            ] {
                let _ = writeln!(page, "- {name}: {text}");
            }
        }
    }
    page
}

#[test]
fn the_page_of_checks_is_that_of_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/checks.md");
    if std::env::var_os("NVTOPO_UPDATE").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, page(), "run NVTOPO_UPDATE=1 cargo test -p nvtopo-audit page");
}

#[test]
fn every_check_says_everything_in_sentences() {
    let mut codes = BTreeSet::new();
    for check in checks() {
        assert!(codes.insert(check.code), "{} is there twice", check.code);
        assert!(
            check.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        );
        for text in [check.claim, check.evidence, check.rule, check.remedy] {
            assert!(
                text.ends_with('.') && !text.contains('\n') && !text.contains("  "),
                "{}: {text}",
                check.code
            );
        }
        assert!(!check.source.is_empty(), "{}", check.code);
        assert!(check.to_string().contains(check.remedy.split(' ').next().unwrap()));
    }
    assert!(nvtopo_audit::check::no_such("nvlink-sped").to_string().contains("did you mean nvlink-speed?"));
}
