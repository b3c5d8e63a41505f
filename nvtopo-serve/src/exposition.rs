//! The exposition of metrics as text: `OpenMetrics` by prometheus-client, and Prometheus' older format from it.

use nvtopo_audit::metrics::{Family, Kind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in &self.0 {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                _ => MetricType::Unknown,
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for sample in &family.samples {
                let labels: Vec<(&str, &str)> =
                    sample.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let encoder = metric.encode_family(&labels)?;
                match family.kind {
                    Kind::Counter => ConstCounter::new(sample.value).encode(encoder)?,
                    _ => ConstGauge::new(sample.value).encode(encoder)?,
                }
            }
        }
        Ok(())
    }
}

/// Returns the metrics in the text format of `OpenMetrics`.
pub(crate) fn open_metrics(families: Vec<Family>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Returns the same in Prometheus' older text format (0.0.4), which `node_exporter` and older servers read: there a counter
/// is described by the name of its samples, and nothing marks the end.
pub(crate) fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help: Option<&str> = None;
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        let total = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter"));
        if let Some(described) = help.take() {
            match total.and_then(|name| Some((name, described.strip_prefix("# HELP ")?.strip_prefix(name)?)))
            {
                Some((name, words)) => text.extend(["# HELP ", name, "_total", words, "\n"]),
                None => text.extend([described, "\n"]),
            }
        }
        match total {
            Some(name) => text.extend(["# TYPE ", name, "_total counter\n"]),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvtopo_audit::metrics::Sample;

    #[test]
    fn both_formats_describe_counters_by_their_rules() {
        let errors = vec![Sample::new(vec![("device", "a\"b\nc".to_owned())], 3.0)];
        let counter = Family::new("nvtopo_x_errors", "Errors", Kind::Counter, errors);
        let gauge = Family::new("nvtopo_up", "Up", Kind::Gauge, vec![Sample::new(vec![], 1.0)]);
        let open = open_metrics(vec![counter, gauge]).unwrap();
        assert!(open.contains("# TYPE nvtopo_x_errors counter\n") && open.ends_with("# EOF\n"), "{open}");
        assert_eq!(
            classic(&open),
            "# HELP nvtopo_x_errors_total Errors\n# TYPE nvtopo_x_errors_total counter\n\
             nvtopo_x_errors_total{device=\"a\\\"b\\nc\"} 3.0\n# HELP nvtopo_up Up\n# TYPE nvtopo_up gauge\nnvtopo_up 1.0\n"
        );
    }
}
