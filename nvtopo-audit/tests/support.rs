//! Evidence for tests, and verdicts by check and subject.

use nvtopo::source::{Contents, Locator};
use nvtopo_audit::{Audit, Finding, Profile, Report, Status};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// The verdicts that tests asked for: checks and their statuses.
static SEEN: Mutex<BTreeSet<(&str, Status)>> = Mutex::new(BTreeSet::new());

/// The verdicts of the checks that tests asked for, of other subjects too.
static GIVEN: Mutex<BTreeSet<(&str, Status)>> = Mutex::new(BTreeSet::new());

/// Returns the verdicts that tests asked for so far.
pub(crate) fn seen() -> BTreeSet<(&'static str, Status)> {
    SEEN.lock().unwrap().clone()
}

/// Returns the verdicts that the checks gave which tests asked for so far.
pub(crate) fn given() -> BTreeSet<(&'static str, Status)> {
    GIVEN.lock().unwrap().clone()
}

/// Returns the path of a test's data: below `tests/data` of the repository.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

/// Reads files of the tests' data, merged.
pub(crate) fn read(names: &[&str]) -> Contents {
    let locators: Vec<Locator> = names.iter().map(|name| Locator::Path(data(name))).collect();
    Contents::open(&locators).unwrap_or_else(|error| panic!("{names:?}: {error}"))
}

/// A directory that is removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Creates a directory with these files.
    pub(crate) fn of(name: &str, files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("nvtopo-audit-{}-{next}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(root)
    }

    /// Adds a copy of a file of the tests' data.
    pub(crate) fn with(self, name: &str) -> Self {
        let path = data(name);
        std::fs::copy(&path, self.0.join(path.file_name().unwrap())).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Reads it and keeps it: files of a machine are read when they are asked for.
    pub(crate) fn read_now(self) -> (Self, Contents) {
        let contents = self.read();
        (self, contents)
    }

    pub(crate) fn read(&self) -> Contents {
        Contents::open(&[Locator::Path(self.0.clone())]).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Audits a made text, as if it were a saved output.
pub(crate) fn of_text(text: &str) -> Report {
    of(&Folder::of("text", &[("output.txt", text)]).read())
}

/// Audits made texts, as if they were saved outputs, by the words of a profile. The first has to tell a machine.
pub(crate) fn of_texts(texts: &[(&str, &str)], expected: &str) -> Report {
    audit(&Folder::of("texts", texts).read(), None, expected)
}

/// Audits a made text, as if it were a saved output, against one of an earlier time.
pub(crate) fn texts_since(after: &str, before: &str) -> Report {
    let [then, now] = [before, after].map(|text| Folder::of("since", &[("output.txt", text)]));
    audit(&now.read(), Some(&then.read()), "")
}

/// Audits evidence against an earlier reading, by the words of a profile.
pub(crate) fn audit(contents: &Contents, earlier: Option<&Contents>, expected: &str) -> Report {
    let profile = Profile::parse("profile", &format!("[expect]\n{expected}\n")).unwrap();
    let mut audit = Audit::of(contents).profile(profile);
    if let Some(earlier) = earlier {
        audit = audit.earlier(earlier);
    }
    audit.run().unwrap()
}

/// Audits files of the tests' data.
pub(crate) fn of_files(names: &[&str]) -> Report {
    of(&read(names))
}

/// Returns the report of the recorded server of eight H100 in the text of `lspci -vvv`, whose 1.3 MB are read once.
pub(crate) fn of_dell() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| of_files(&["audit/gpud/lspci-vvv.dell-8xh100.txt.gz"]))
}

/// Audits a preset.
pub(crate) fn of_preset(name: &str) -> Report {
    of(&Contents::open(&[Locator::Preset(name.to_owned())]).unwrap())
}

/// Audits evidence by all checks.
pub(crate) fn of(contents: &Contents) -> Report {
    Audit::of(contents).run().unwrap()
}

/// Returns the findings of a check.
pub(crate) fn findings<'a>(report: &'a Report, check: &str) -> Vec<&'a Finding> {
    assert!(nvtopo_audit::check::find(check).is_some(), "there is no check {check}");
    let own: Vec<&Finding> = report.findings().iter().filter(|finding| finding.check.code == check).collect();
    GIVEN.lock().unwrap().extend(own.iter().map(|finding| (finding.check.code, finding.status)));
    own
}

/// Returns the status of a subject by a check.
pub(crate) fn status(report: &Report, check: &str, subject: &str) -> Status {
    finding(report, check, subject).status
}

/// Returns the finding of a subject by a check, the worst first.
pub(crate) fn finding<'a>(report: &'a Report, check: &str, subject: &str) -> &'a Finding {
    let own = findings(report, check);
    let found = own.iter().find(|finding| finding.subject == subject);
    let found = found.unwrap_or_else(|| panic!("no finding of {check} about {subject}: {own:#?}"));
    SEEN.lock().unwrap().insert((found.check.code, found.status));
    found
}

/// Returns the worst status of a check.
pub(crate) fn worst(report: &Report, check: &str) -> Status {
    let own = findings(report, check);
    let worst = own.iter().map(|finding| finding.status).max().unwrap();
    SEEN.lock().unwrap().insert((own[0].check.code, worst));
    worst
}

/// Returns the one status of all findings of a check.
pub(crate) fn only_status(report: &Report, check: &str) -> Status {
    let own = findings(report, check);
    assert!(own.iter().all(|finding| finding.status == own[0].status), "{own:#?}");
    SEEN.lock().unwrap().insert((own[0].check.code, own[0].status));
    own[0].status
}
