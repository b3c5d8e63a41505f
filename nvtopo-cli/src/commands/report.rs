//! `nvtopo report`: what is known of a node, for people, in one page or a ticket.

use super::audit::audited;
use crate::args::ReportArgs;
use crate::output::print;
use nvtopo::{Result, save_file};
use nvtopo_audit::{Limits, today};
use nvtopo_report::{NodeReport, ReportFormat};
use std::path::Path;

/// Writes the files. Returns the text to print.
pub(crate) fn report(args: &ReportArgs) -> Result<String> {
    let standard_output = Path::new("-");
    // Names that say no format are refused before the machine is read.
    let outputs = args.output.iter().map(|path| {
        let format = match args.format {
            Some(format) => format.into(),
            None if path == standard_output => ReportFormat::Markdown,
            None => ReportFormat::of_file(path)?,
        };
        Ok((path, format))
    });
    let outputs = outputs.collect::<Result<Vec<_>>>()?;
    let audited = audited(&args.evidence, Limits::default())?;
    let mut report = NodeReport::of(&audited.contents, &audited.report).date(today());
    if let Some(baseline) = &audited.baseline {
        report = report.baseline(baseline);
    }
    if !args.gpus.is_empty() {
        report = report.sizes(args.gpus.iter().copied());
    }
    for (path, format) in outputs {
        let text = report.write(format);
        if path == standard_output {
            print(&text)?;
        } else {
            save_file(path, text.as_bytes())?;
        }
    }
    Ok(String::new())
}
