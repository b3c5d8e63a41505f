//! [`PortGrowth`] and [`diagnosis`]: what the counters of a RoCE port, read twice, say of the network.

use std::collections::{BTreeMap, BTreeSet};

/// The growth of the counters of one port between two readings, by the names of the kernel (`out_of_sequence`) and of
/// `ethtool -S` (`rx_prio3_pause`).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PortGrowth {
    /// The time between the readings in seconds. `None`: unknown.
    pub seconds: Option<f64>,
    /// The growth of each counter that both readings have.
    pub counters: BTreeMap<String, u64>,
    /// The counters that were reset between the readings: nothing is known of them.
    pub reset: BTreeSet<String>,
    /// The counters that one of the readings lacks or could not read: nothing is known of them.
    pub untold: BTreeSet<String>,
    /// The priority that carries RDMA traffic, from 0 to 7. `None`: unknown.
    pub rdma_priority: Option<u8>,
}

impl PortGrowth {
    /// Creates the growth of no counter, between readings that are so many seconds apart.
    #[must_use]
    pub fn new(seconds: Option<f64>) -> Self {
        Self { seconds, ..Self::default() }
    }

    /// Adds a counter that grew by a number.
    #[must_use]
    pub fn with(mut self, counter: impl Into<String>, by: u64) -> Self {
        self.counters.insert(counter.into(), by);
        self
    }

    /// Adds a counter that was reset.
    #[must_use]
    pub fn with_reset(mut self, counter: impl Into<String>) -> Self {
        self.reset.insert(counter.into());
        self
    }

    /// Adds a counter that one of the readings lacks or could not read.
    #[must_use]
    pub fn with_untold(mut self, counter: impl Into<String>) -> Self {
        self.untold.insert(counter.into());
        self
    }

    /// Returns why the growth of some of these counters is unknown, though a source tells them. `None`: of none is it.
    pub(crate) fn open<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
        names.into_iter().find_map(|name| match () {
            () if self.reset.contains(name) => Some(format!("{name} was reset between the two readings")),
            () if self.untold.contains(name) => Some(format!("one of the two readings does not tell {name}")),
            () => None,
        })
    }

    /// Sets [`rdma_priority`](Self::rdma_priority).
    #[must_use]
    pub fn with_priority(mut self, priority: Option<u8>) -> Self {
        self.rdma_priority = priority;
        self
    }

    /// Returns the growth of a counter. `None`: unknown.
    pub fn get(&self, counter: &str) -> Option<u64> {
        self.counters.get(counter).copied()
    }

    /// Returns the growth of a counter per second. `None`: its growth or the time is unknown.
    pub fn per_second(&self, counter: &str) -> Option<f64> {
        Some(self.get(counter)? as f64 / self.seconds.filter(|seconds| *seconds > 0.0)?)
    }

    /// Returns the sum of the growth of some counters. `None`: none of them is known.
    pub(crate) fn sum(&self, counters: &[&str]) -> Option<u64> {
        let mut known = counters.iter().filter_map(|counter| self.get(counter)).peekable();
        known.peek()?;
        Some(known.fold(0, u64::saturating_add))
    }

    /// Returns the growth of the counter `begin` + priority + `end` for each priority that has it.
    pub(crate) fn by_priority(&self, begin: &str, end: &str) -> BTreeMap<u8, u64> {
        (0..8)
            .filter_map(|priority| Some((priority, self.get(&format!("{begin}{priority}{end}"))?)))
            .collect()
    }

    /// Returns the largest share of the time that one priority was paused, with the priority. `direction` is `rx` for
    /// pauses that the peer asked for, `tx` for those that this port asked for.
    pub(crate) fn longest_pause(&self, direction: &str) -> Option<(u8, f64)> {
        let seconds = self.seconds.filter(|seconds| *seconds > 0.0)?;
        let pauses = self.by_priority(&format!("{direction}_prio"), "_pause_duration");
        // Durations are counted in microseconds.
        let share = |(priority, duration): (u8, u64)| (priority, duration as f64 / 1e6 / seconds);
        pauses.into_iter().map(share).max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// The share of time from which pauses are long.
pub(crate) const LONG_PAUSE: f64 = 0.1;

/// The counters that the diagnosis reads of the kernel's files.
pub(crate) const COUNTERS: [&str; 10] = [
    "out_of_sequence",
    "packet_seq_err",
    "local_ack_timeout_err",
    "rnr_nak_retry_err",
    "out_of_buffer",
    "np_ecn_marked_roce_packets",
    "np_cnp_sent",
    "rp_cnp_handled",
    "rp_cnp_ignored",
    "rx_icrc_encapsulated",
];

/// Returns what the growth of a RoCE port's counters says, a sentence for each finding, the gravest first. Empty: nothing
/// to say, or too little known.
///
/// ```
/// use nvtopo_audit::{PortGrowth, diagnosis};
///
/// let port = PortGrowth::new(Some(10.0)).with("np_ecn_marked_roce_packets", 900).with("np_cnp_sent", 0);
/// assert!(diagnosis(&port)[0].starts_with("packets arrive marked"));
/// ```
pub fn diagnosis(port: &PortGrowth) -> Vec<String> {
    diagnosed(port).into_iter().map(|(_, text)| text).collect()
}

/// Returns the same with a code for each finding.
pub(crate) fn diagnosed(port: &PortGrowth) -> Vec<(&'static str, String)> {
    let grew = |counter: &str| port.get(counter).filter(|by| *by > 0);
    let stays = |counter: &str| port.get(counter) == Some(0);
    let loss = port.sum(&["out_of_sequence", "packet_seq_err"]);
    let has_loss = loss.is_some_and(|loss| loss > 0);
    let sum = |own: &BTreeMap<u8, u64>| {
        (!own.is_empty()).then(|| own.values().copied().fold(0, u64::saturating_add))
    };
    let (received, sent) = (port.by_priority("rx_prio", "_pause"), port.by_priority("tx_prio", "_pause"));
    let mut found = Vec::new();
    let mut say = |code: &'static str, text: &str| found.push((code, text.to_owned()));
    if grew("tx_pause_storm_error_events").is_some() {
        say("pause-storm", "the adapter cut off a storm of its own pauses, so packets are dropped after it");
    }
    if grew("rx_icrc_encapsulated").is_some() {
        say(
            "damaged-packets",
            "packets arrive damaged: the cable, the optics, or something between that rewrites headers",
        );
    }
    if has_loss
        && stays("np_ecn_marked_roce_packets")
        && sum(&received) == Some(0)
        && sum(&sent).unwrap_or(0) == 0
    {
        say(
            "dropped-in-network",
            "packets are dropped in the network, and neither ECN nor PFC acts on this class: its DSCP or priority is mapped \
             wrongly, or a switch is not configured",
        );
    }
    if let (true, Some(own)) = (has_loss, port.rdma_priority) {
        let pauses = |priority: u8| {
            [&received, &sent].into_iter().filter_map(|own| own.get(&priority)).any(|by| *by > 0)
        };
        if let Some(other) = (0..8).find(|other| *other != own && pauses(*other) && !pauses(own)) {
            let text = format!(
                "packets are lost while priority {other} is paused and priority {own} is not: RDMA traffic is in the wrong \
                 priority"
            );
            found.push(("wrong-priority", text));
        }
    }
    let mut say = |code: &'static str, text: &str| found.push((code, text.to_owned()));
    if grew("np_ecn_marked_roce_packets").is_some() && stays("np_cnp_sent") {
        say(
            "notification-point-off",
            "packets arrive marked by ECN and no notification is sent: the notification point is off for this priority",
        );
    }
    if grew("rp_cnp_ignored").is_some() {
        say(
            "reaction-point-off",
            "notifications of congestion arrive and are ignored: the reaction point is off for this priority",
        );
    }
    let others = ["rnr_nak_retry_err", "out_of_buffer", "rx_icrc_encapsulated"];
    if grew("local_ack_timeout_err").is_some()
        && loss == Some(0)
        && others.iter().all(|own| grew(own).is_none())
    {
        say(
            "path-or-peer-gone",
            "only acknowledgements are missing: the path or the peer is gone, or large packets are dropped for their size",
        );
    }
    if grew("rnr_nak_retry_err").is_some() || grew("out_of_buffer").is_some() {
        say(
            "slow-receiving-program",
            "the receiving software posts buffers too slowly; the network is not at fault",
        );
    }
    if sum(&sent).is_some_and(|sent| sent > 0) {
        say(
            "slow-host",
            "this machine asks its switch to pause: it receives too slowly, so look at the adapter's PCIe width, the IOMMU, the \
             MTU and its NUMA node",
        );
    }
    if let (Some((priority, share)), Some(0)) = (port.longest_pause("rx"), loss)
        && share > LONG_PAUSE
    {
        let text = format!(
            "the switch paused priority {priority} for {:.0} % of the time without loss: some receiver is slow, by PCIe width, \
             IOMMU translation or a remote NUMA node",
            share * 100.0
        );
        found.push(("paused-by-switch", text));
    }
    if grew("rp_cnp_handled").is_some() && loss == Some(0) {
        let text = "congestion control acts and nothing is lost, which is no fault";
        found.push(("congestion-control-acts", text.to_owned()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(counters: &[(&str, u64)]) -> PortGrowth {
        counters.iter().fold(PortGrowth::new(Some(10.0)), |port, (name, by)| port.with(*name, *by))
    }

    fn only(counters: &[(&str, u64)]) -> String {
        let found = diagnosis(&port(counters));
        assert_eq!(found.len(), 1, "{counters:?}: {found:?}");
        found.into_iter().next().unwrap_or_default()
    }

    #[test]
    fn each_row_of_the_table_is_told() {
        let dropped = [("out_of_sequence", 5), ("np_ecn_marked_roce_packets", 0), ("rx_prio3_pause", 0)];
        assert!(only(&dropped).starts_with("packets are dropped in the network"));
        let handled = [("rp_cnp_handled", 7), ("out_of_sequence", 0)];
        assert!(only(&handled).contains("no fault"));
        assert!(
            only(&[("np_ecn_marked_roce_packets", 9), ("np_cnp_sent", 0)])
                .contains("notification point is off")
        );
        assert!(only(&[("rp_cnp_ignored", 1)]).contains("reaction point is off"));
        assert!(
            only(&[("rx_prio3_pause_duration", 2_000_000), ("out_of_sequence", 0)])
                .contains("20 % of the time")
        );
        assert!(only(&[("tx_prio3_pause", 4)]).contains("receives too slowly"));
        assert!(only(&[("tx_pause_storm_error_events", 1)]).contains("storm"));
        assert!(
            only(&[("local_ack_timeout_err", 3), ("packet_seq_err", 0)]).contains("only acknowledgements")
        );
        assert!(only(&[("out_of_buffer", 3)]).contains("receiving software"));
        assert!(only(&[("rnr_nak_retry_err", 3)]).contains("receiving software"));
        assert!(only(&[("rx_icrc_encapsulated", 3)]).contains("damaged"));
    }

    #[test]
    fn a_pause_of_another_priority_tells_only_where_the_own_one_is_known() {
        let lost = port(&[("packet_seq_err", 5), ("rx_prio0_pause", 9), ("rx_prio3_pause", 0)]);
        assert!(diagnosis(&lost).is_empty());
        let told = diagnosis(&lost.clone().with_priority(Some(3)));
        assert!(
            told.len() == 1 && told[0].contains("priority 0 is paused and priority 3 is not"),
            "{told:?}"
        );
        assert!(diagnosis(&lost.with_priority(Some(0))).is_empty());
    }

    #[test]
    fn what_is_unknown_says_nothing() {
        assert!(diagnosis(&PortGrowth::default()).is_empty());
        assert!(diagnosis(&port(&[("out_of_sequence", 5)])).is_empty(), "marks and pauses are unknown");
        assert!(diagnosis(&port(&[("np_ecn_marked_roce_packets", 5)])).is_empty());
        assert!(diagnosis(&port(&[("rp_cnp_handled", 5)])).is_empty());
        let mut untimed = port(&[("rx_prio3_pause_duration", u64::MAX), ("out_of_sequence", 0)]);
        untimed.seconds = None;
        assert!(diagnosis(&untimed).is_empty());
        assert!(diagnosis(&port(&[("out_of_sequence", 0), ("rp_cnp_handled", 0)])).is_empty());
    }
}
