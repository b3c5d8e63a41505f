//! The report as `JUnit` XML, as CI systems show the results of tests.

use crate::check::Theme;
use crate::finding::{Finding, Status};
use crate::report::Report;
use nvtopo::printable;
use quick_xml::Writer;
use quick_xml::events::BytesText;
use std::io;

/// The element of a case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failure,
    Error,
    Skipped,
    Passed,
}

impl Report {
    /// Returns the report as `JUnit` XML: a suite for each theme, a case for each finding. What makes the audit fail, by its
    /// limits, is a failure. Unknown findings are errors where more are unknown than is allowed, else skipped, as those that
    /// do not apply are. All others pass, with their texts as output. The node and the date are properties of each suite.
    pub fn to_junit(&self) -> String {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        // Writing to memory does not fail.
        let _ = self.write_suites(&mut writer);
        String::from_utf8_lossy(&writer.into_inner()).into_owned() + "\n"
    }

    fn kind(&self, finding: &Finding, is_beyond: bool) -> Kind {
        if self.limits().fail_on.includes(finding) {
            return Kind::Failure;
        }
        match finding.effective() {
            Status::Unknown if is_beyond => Kind::Error,
            Status::Unknown | Status::NotApplicable => Kind::Skipped,
            _ => Kind::Passed,
        }
    }

    fn write_suites(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let name =
            self.node().map_or_else(|| "nvtopo audit".to_owned(), |node| format!("nvtopo audit {node}"));
        let name = printable(&name).into_owned();
        let is_beyond = self.has_too_much_unknown();
        writer.create_element("testsuites").with_attribute(("name", &*name)).write_inner_content(
            |writer| {
                for theme in Theme::ALL {
                    let own = self.findings().iter().filter(|finding| finding.check.theme == theme);
                    let own: Vec<_> = own.map(|finding| (finding, self.kind(finding, is_beyond))).collect();
                    if !own.is_empty() {
                        self.write_suite(writer, theme, &own)?;
                    }
                }
                Ok(())
            },
        )?;
        Ok(())
    }

    fn write_suite(
        &self,
        writer: &mut Writer<Vec<u8>>,
        theme: Theme,
        findings: &[(&Finding, Kind)],
    ) -> io::Result<()> {
        let count = |kind: Kind| findings.iter().filter(|(_, own)| *own == kind).count().to_string();
        let mut suite = writer.create_element("testsuite").with_attributes([
            ("name", theme.word()),
            ("tests", &findings.len().to_string()),
            ("failures", &count(Kind::Failure)),
            ("errors", &count(Kind::Error)),
            ("skipped", &count(Kind::Skipped)),
        ]);
        let node = self.node().map(|node| printable(node).into_owned());
        if let Some(node) = &node {
            suite = suite.with_attribute(("hostname", &**node));
        }
        if let Some(taken) = self.taken() {
            suite = suite.with_attribute(("timestamp", taken));
        }
        let facts = [("node", node.as_deref()), ("date", self.date()), ("taken", self.taken())];
        suite.write_inner_content(|writer| {
            if facts.iter().any(|(_, value)| value.is_some()) {
                writer.create_element("properties").write_inner_content(|writer| {
                    for (name, value) in facts.iter().filter_map(|(name, value)| Some((*name, (*value)?))) {
                        let property = writer.create_element("property");
                        property.with_attributes([("name", name), ("value", value)]).write_empty()?;
                    }
                    Ok(())
                })?;
            }
            findings.iter().try_for_each(|(finding, kind)| write_case(writer, finding, *kind))
        })?;
        Ok(())
    }
}

fn write_case(writer: &mut Writer<Vec<u8>>, finding: &Finding, kind: Kind) -> io::Result<()> {
    let accepted =
        finding.waived.as_ref().map_or_else(String::new, |waiver| format!(" (accepted: {})", waiver.words()));
    let text = printable(&format!("{}{accepted}", finding.text)).into_owned();
    let name = printable(&format!("{} {}", finding.check.code, finding.subject)).into_owned();
    let told = format!("{}: {text}", finding.effective());
    let case = writer.create_element("testcase");
    let case = case.with_attributes([("classname", finding.check.theme.word()), ("name", &name)]);
    case.write_inner_content(|writer| {
        match kind {
            Kind::Failure => {
                let failure = writer.create_element("failure");
                let failure =
                    failure.with_attributes([("type", finding.check.severity.word()), ("message", &text)]);
                failure.write_text_content(BytesText::new(finding.check.remedy))?;
            }
            Kind::Error => {
                let error = writer.create_element("error");
                let error = error.with_attributes([("type", "unknown"), ("message", &*told)]);
                error.write_text_content(BytesText::new(finding.check.evidence))?;
            }
            Kind::Skipped => {
                writer.create_element("skipped").with_attribute(("message", told.as_str())).write_empty()?;
            }
            Kind::Passed => {
                writer.create_element("system-out").write_text_content(BytesText::new(&told))?;
            }
        }
        Ok(())
    })?;
    Ok(())
}
