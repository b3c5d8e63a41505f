//! [`Contents`]: the files and texts of the places that a topology was read from, for programs that judge a machine by more
//! than its topology holds.

use super::folder::{self, Sink};
use super::sysfs::Tree;
use super::{Live, Locator, NvLinkCounters, merged, parse, read_all, read_path};
use crate::error::Result;
use crate::model::{Fragment, Provenance, Stated, Topology};
use std::path::Path;

/// The files below the root of a machine: this one, a recorded one, or that of a snapshot.
///
/// Paths are relative to the root and written with `/`. In a recorded tree no link leads out of the root, pipes do not
/// block, and at most 512 KiB of a file are read.
///
/// ```no_run
/// use nvtopo::source::Files;
///
/// let files = Files::of("/".as_ref());
/// println!("{:?}", files.text("proc/sys/kernel/numa_balancing"));
/// ```
pub struct Files(Tree);

impl Files {
    /// Returns the files of this machine, where the root is `/`, or those of a recorded one.
    pub fn of(root: &Path) -> Self {
        Self(Tree::new(root))
    }

    #[cfg(feature = "snapshot")]
    pub(super) fn new(tree: Tree) -> Self {
        Self(tree)
    }

    /// Hands over the files of a machine for a moment.
    #[cfg(feature = "snapshot")]
    pub(super) fn lend(tree: Tree, look: impl FnOnce(&Self)) -> Tree {
        let files = Self(tree);
        look(&files);
        files.0
    }

    /// Returns whether these are the files of the machine that this process runs on.
    pub fn is_live(&self) -> bool {
        self.0.is_live()
    }

    /// Returns the text of a file without the white space around it. [`Stated::NotAvailable`]: no such file, or a device
    /// that has no value. [`Stated::Unreadable`]: a file that this process may not read, or no file, or one that is longer
    /// than 512 KiB.
    pub fn text(&self, path: &str) -> Stated<String> {
        self.text_of(path, super::sysfs::LIMIT)
    }

    /// Returns the text of a file of up to so many bytes, which may be more than [`text`](Self::text) reads, but no more than
    /// 64 MiB. States are as those of `text`.
    pub fn long_text(&self, path: &str, most: usize) -> Stated<String> {
        let most = most.min(super::MAX_INPUT as usize);
        self.text_of(path, most)
    }

    fn text_of(&self, path: &str, most: usize) -> Stated<String> {
        match self.0.probe(path, 0, most + 1) {
            Stated::Known(bytes) if bytes.len() > most => Stated::Unreadable,
            bytes => bytes.map(|bytes| {
                let text = String::from_utf8_lossy(&bytes);
                text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
            }),
        }
    }

    /// Returns some bytes of a file, from a place in it on; fewer where it ends before. States are as those of
    /// [`text`](Self::text).
    pub fn bytes(&self, path: &str, offset: usize, length: usize) -> Stated<Vec<u8>> {
        self.0.probe(path, offset, length.min(super::sysfs::LIMIT))
    }

    /// Returns the names in a directory, sorted. Empty: absent or unreadable.
    pub fn names(&self, path: &str) -> Vec<String> {
        self.0.names(path)
    }

    /// Returns the target of a link, as it is written. `None`: absent, or not a link.
    pub fn link(&self, path: &str) -> Option<String> {
        self.0.link(path)
    }

    /// Returns whether there is a directory.
    pub fn has_folder(&self, path: &str) -> bool {
        self.0.has_folder(path)
    }
}

/// A text that somebody saved, such as the output of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedText {
    /// The name of its file.
    pub name: String,
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

impl SavedText {
    /// Creates a text of a name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// The files and texts of the places that a topology was read from.
///
/// ```
/// use nvtopo::source::{Contents, Locator};
///
/// let contents = Contents::open(&[Locator::Preset("dgx-h100".to_owned())])?;
/// assert_eq!(contents.topology.gpus().count(), 8);
/// assert!(contents.files.is_empty() && contents.texts.is_empty()); // a preset has none
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[non_exhaustive]
pub struct Contents {
    /// The topology.
    pub topology: Topology,
    /// The files of machines, one for each root that was found.
    pub files: Vec<Files>,
    /// The texts, by the order of places and of names. Each may hold the outputs of several tools.
    pub texts: Vec<SavedText>,
    /// The counters of NVLinks, of this machine or of a snapshot. Empty: the driver was not asked, or counts nothing.
    pub nvlink_counters: Vec<NvLinkCounters>,
}

impl Contents {
    /// Reads and merges several places, like [`Topology::open`], and keeps what they hold.
    ///
    /// Errors are those of [`Topology::open`].
    pub fn open(locators: &[Locator]) -> Result<Self> {
        Self::read(locators, Found::default())
    }

    /// Reads several places like [`open`](Self::open), and this machine at once: with all that `look` asks of its files,
    /// which are then those of this moment, whenever they are read again. Others do not change while they are read.
    ///
    /// `knows` says of a text of no known format whether the caller reads it all the same. Such a text is of a machine of
    /// which nothing else is known, where it stands alone, and is not noted as left out.
    ///
    /// ```no_run
    /// use nvtopo::source::{Contents, Locator};
    ///
    /// let switches = |contents: &Contents| contents.files[0].text("proc/stat");
    /// let before = Contents::open_at_once(&[Locator::Live], |_, files| drop(files.text("proc/stat")), |_| false)?;
    /// std::thread::sleep(std::time::Duration::from_secs(1));
    /// assert_eq!(switches(&before), switches(&before));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[cfg(feature = "snapshot")]
    pub fn open_at_once(
        locators: &[Locator],
        look: impl Fn(&Topology, &Files),
        knows: impl Fn(&SavedText) -> bool,
    ) -> Result<Self> {
        Self::read(locators, Found { look: Some(&look), knows: Some(&knows), ..Found::default() })
    }

    fn read(locators: &[Locator], mut found: Found<'_>) -> Result<Self> {
        let topology = merged(locators, |locator| found.read(locator))?;
        Ok(Self { topology, files: found.files, texts: found.texts, nvlink_counters: found.nvlink_counters })
    }
}

/// A reader of this machine's files.
type Look<'a> = dyn Fn(&Topology, &Files) + 'a;

/// Says whether somebody else reads a text of no known format.
pub(super) type Knows<'a> = dyn Fn(&SavedText) -> bool + 'a;

/// The contents that were found so far.
#[derive(Default)]
struct Found<'a> {
    /// The reader of this machine's files, where they are to be read at once.
    #[cfg_attr(not(feature = "snapshot"), expect(dead_code, reason = "only snapshots are read at once"))]
    look: Option<&'a Look<'a>>,
    /// Says which texts of no known format are read by others.
    knows: Option<&'a Knows<'a>>,
    files: Vec<Files>,
    texts: Vec<SavedText>,
    nvlink_counters: Vec<NvLinkCounters>,
    /// The number of files and bytes of the directory or archive that is read.
    size: (usize, u64),
}

impl Found<'_> {
    fn read(&mut self, locator: &Locator) -> Result<Fragment> {
        self.size = (0, 0);
        #[cfg(feature = "snapshot")]
        if let (Locator::Live, Some(look)) = (locator, self.look) {
            let (fragment, tree, counters) = super::snapshot::at_once(look)?;
            self.files.push(Files::new(tree));
            self.nvlink_counters.extend(counters);
            return Ok(fragment);
        }
        match locator {
            Locator::Live => {
                self.files.push(Files::of(Path::new("/")));
                self.nvlink_counters.extend(Live::default().nvlink_counters().unwrap_or_default());
            }
            Locator::Hwloc => self.files.push(Files::of(Path::new("/"))),
            Locator::Preset(_) => {}
            Locator::Stdin => {
                let name = "standard input";
                let bytes = read_all(Path::new(name), std::io::stdin().lock())?;
                return self.one(name, &bytes);
            }
            Locator::Path(path) if path.is_dir() => {
                if let Ok(root) = folder::files(path, self)? {
                    self.files.push(Files::of(&root));
                }
                let own = folder::read(path, self.knows);
                return own.map_err(|error| error.in_input(&path.display().to_string()));
            }
            Locator::Path(path) => return self.one(&path.display().to_string(), &read_path(path)?),
        }
        super::fragment(locator)
    }

    /// Reads one file, which others may read where it is of no known format.
    fn one(&mut self, name: &str, bytes: &[u8]) -> Result<Fragment> {
        let before = self.texts.len();
        self.add(name, bytes);
        parse(name, bytes).or_else(|error| match (&self.texts[before..], self.knows) {
            ([own], Some(knows)) if super::read_known(own.text.as_bytes()).is_none() && knows(own) => {
                Ok(Fragment::new(Provenance::SystemTool))
            }
            _ => Err(error),
        })
    }

    #[cfg(feature = "snapshot")]
    fn compressed(&mut self, name: &str, bytes: &[u8]) {
        use super::snapshot::{self, Unpacked};
        // What cannot be unpacked is an error of the topology, or told by one of its notes.
        match snapshot::contents(bytes) {
            Ok(Unpacked::Machine(tree, counters)) => {
                self.files.push(Files::new(tree));
                self.nvlink_counters.extend(counters);
            }
            Ok(Unpacked::Files(entries)) => {
                if let Some(root) = folder::entries(&entries, self)
                    && let Ok(tree) = folder::machine_files(entries, &root)
                {
                    self.files.push(Files::new(tree));
                }
            }
            Ok(Unpacked::Text(text)) if !folder::is_compressed(&text) => self.add(name, &text),
            Ok(Unpacked::Text(_)) | Err(_) => {}
        }
    }
}

impl Sink for Found<'_> {
    fn room(&self) -> Option<u64> {
        folder::room(self.size.0, self.size.1)
    }

    fn skip(&mut self, _name: &str) {}

    fn add(&mut self, name: &str, bytes: &[u8]) {
        self.size = (self.size.0 + 1, self.size.1 + bytes.len() as u64);
        if folder::is_compressed(bytes) {
            #[cfg(feature = "snapshot")]
            self.compressed(name, bytes);
        } else if !bytes.contains(&0) {
            self.texts.push(SavedText::new(name, String::from_utf8_lossy(bytes)));
        }
    }
}
