//! `nvtopo drill`: the machine without some of its parts.

use super::style;
use crate::args::{DrillArgs, DrillFormat};
use nvtopo::Result;
use nvtopo_audit::{AuditedProcess, Drill, Profile, TextStyle, evidence};

/// Returns the text to print.
pub(crate) fn drill(args: &DrillArgs) -> Result<String> {
    let contents = evidence(&args.from, &Profile::default(), &AuditedProcess::Own)?;
    let drill = Drill::of(&contents, &args.gpus)?;
    let report = if args.lose.is_empty() { drill.all()? } else { drill.run(&args.lose)? };
    Ok(match args.format {
        DrillFormat::Text => report.to_text(TextStyle::default().width(style().width)),
        DrillFormat::Json => report.to_json(),
    })
}
