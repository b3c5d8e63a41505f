//! [`ReportFormat`]: the formats of a report, and the endings of their files.

use nvtopo::{Error, Result};
use std::path::Path;

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReportFormat {
    /// A page that stands alone, for a browser and for paper.
    Html,
    /// A document for programs.
    Json,
    /// A short text for a ticket, in GitHub's Markdown.
    Markdown,
}

impl ReportFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Html, Self::Json, Self::Markdown];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Markdown => "markdown",
        }
    }

    /// Finds a format by its name.
    ///
    /// Errors where there is no such format, and says which there are.
    pub fn by_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            Error::request(format!("there is no report as '{name}'"))
                .help("there are html, json and markdown")
        })
    }

    /// Finds the format that the ending of a file's name says.
    ///
    /// Errors where it says none.
    ///
    /// ```
    /// use nvtopo_report::ReportFormat;
    ///
    /// assert_eq!(ReportFormat::of_file("node7.md".as_ref())?, ReportFormat::Markdown);
    /// assert!(ReportFormat::of_file("node7.pdf".as_ref()).is_err());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn of_file(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "html" | "htm" => Ok(Self::Html),
            "json" => Ok(Self::Json),
            "md" | "markdown" => Ok(Self::Markdown),
            _ => {
                let why = format!("the name {} does not say how the report is written", path.display());
                Err(Error::wrong_use(why, "name it .html, .json or .md, or give --format"))
            }
        }
    }
}
