//! The report as `JUnit` XML, as CI systems show the results of tests.

use crate::check::Theme;
use crate::finding::{Finding, Status};
use crate::report::Report;
use nvtopo::printable;
use quick_xml::Writer;
use quick_xml::events::BytesText;
use std::io;

impl Report {
    /// Returns the report as `JUnit` XML: a suite for each theme, a case for each finding. Failures are failures; unknown and
    /// inapplicable findings are skipped; warnings and accepted findings pass, with their texts as output.
    pub fn to_junit(&self) -> String {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        // Writing to memory does not fail.
        let _ = self.write_suites(&mut writer);
        String::from_utf8_lossy(&writer.into_inner()).into_owned() + "\n"
    }

    fn write_suites(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        writer.create_element("testsuites").with_attribute(("name", "nvtopo audit")).write_inner_content(
            |writer| {
                for theme in Theme::ALL {
                    let own = self.findings().iter().filter(|finding| finding.check.theme == theme);
                    let findings: Vec<&Finding> = own.collect();
                    if !findings.is_empty() {
                        write_suite(writer, theme, &findings)?;
                    }
                }
                Ok(())
            },
        )?;
        Ok(())
    }
}

fn write_suite(writer: &mut Writer<Vec<u8>>, theme: Theme, findings: &[&Finding]) -> io::Result<()> {
    let failed = |own: &&&Finding| own.effective() == Status::Fail;
    let skipped = |own: &&&Finding| matches!(own.effective(), Status::Unknown | Status::NotApplicable);
    let suite = writer.create_element("testsuite").with_attributes([
        ("name", theme.word()),
        ("tests", &findings.len().to_string()),
        ("failures", &findings.iter().filter(failed).count().to_string()),
        ("skipped", &findings.iter().filter(skipped).count().to_string()),
    ]);
    suite
        .write_inner_content(|writer| findings.iter().try_for_each(|finding| write_case(writer, finding)))?;
    Ok(())
}

fn write_case(writer: &mut Writer<Vec<u8>>, finding: &Finding) -> io::Result<()> {
    let accepted =
        finding.waived.as_ref().map_or_else(String::new, |reason| format!(" (accepted: {reason})"));
    let text = printable(&format!("{}{accepted}", finding.text)).into_owned();
    let name = printable(&format!("{} {}", finding.check.code, finding.subject)).into_owned();
    let status = finding.effective();
    let case = writer.create_element("testcase");
    let case = case.with_attributes([("classname", finding.check.theme.word()), ("name", &name)]);
    case.write_inner_content(|writer| {
        let told = format!("{status}: {text}");
        match status {
            Status::Fail => {
                let failure = writer.create_element("failure");
                let failure =
                    failure.with_attributes([("type", finding.check.severity.word()), ("message", &text)]);
                failure.write_text_content(BytesText::new(finding.check.remedy))?;
            }
            Status::Unknown | Status::NotApplicable => {
                writer.create_element("skipped").with_attribute(("message", told.as_str())).write_empty()?;
            }
            Status::Pass | Status::Warn => {
                writer.create_element("system-out").write_text_content(BytesText::new(&told))?;
            }
        }
        Ok(())
    })?;
    Ok(())
}
