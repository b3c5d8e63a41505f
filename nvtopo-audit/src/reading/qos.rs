//! The quality of service of network interfaces: priority flow control (PFC), the field by which traffic is classified, and
//! ECN, from the files of NVIDIA's driver or from saved outputs of `dcb`, `mlnx_qos` and `ethtool -S`.

use super::counters::statistics;
use super::documents::objects;
use super::outputs::outputs;
use super::ports::{self, Port};
use crate::evidence::Evidence;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The settings of an interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct Qos {
    /// The priorities with PFC. `None`: unknown.
    pub(crate) pfc: Option<BTreeSet<u8>>,
    /// Pauses hold all traffic. `None`: unknown.
    pub(crate) global_pause: Option<bool>,
    /// The field of packets by which they are classified: `dscp` or `pcp`. `None`: unknown.
    pub(crate) trust: Option<String>,
    /// The priority of each DSCP that is told.
    pub(crate) priorities: BTreeMap<u8, u8>,
}

impl Qos {
    /// Returns the priority of packets with this DSCP. Adapters begin with an eighth of it.
    pub(crate) fn priority_of(&self, dscp: u8) -> u8 {
        self.priorities.get(&dscp).copied().unwrap_or(dscp >> 3)
    }

    /// Returns the only priority with PFC.
    pub(crate) fn only_priority(&self) -> Option<u8> {
        let pfc = self.pfc.as_ref()?;
        pfc.first().copied().filter(|_| pfc.len() == 1)
    }
}

/// Returns the settings by interface. They are read once.
pub(crate) fn qos<'e>(evidence: &'e Evidence<'_>) -> &'e BTreeMap<String, Qos> {
    evidence.readings.qos.get_or_init(|| read(evidence))
}

/// Returns whether a saved output tells settings of an interface, whichever it is.
pub(crate) fn is_told(evidence: &Evidence<'_>) -> bool {
    outputs(evidence).any(|output| of_output(output.text).is_some())
}

/// Returns the settings that an output tells. `None`: none.
fn of_output(text: &str) -> Option<Qos> {
    let mut own = Qos::default();
    text.lines().for_each(|line| own.take(line.trim()));
    own.take_json(text);
    let is_empty = own.pfc.is_none() && own.trust.is_none() && own.priorities.is_empty();
    (!is_empty).then_some(own)
}

fn read(evidence: &Evidence<'_>) -> BTreeMap<String, Qos> {
    let known = ports::interfaces(evidence);
    let mut found: BTreeMap<String, Qos> = known.iter().map(|name| (name.clone(), Qos::default())).collect();
    for (name, own) in &mut found {
        if let Some(trust) = evidence.text(&format!("sys/class/net/{name}/qos/trust")).known() {
            own.trust = trust_of(trust);
        }
    }
    for output in outputs(evidence) {
        if let (Some(mut own), Some(interface)) = (of_output(output.text), output.interface(&known)) {
            let all = found.entry(interface).or_default();
            all.pfc = all.pfc.take().or(own.pfc);
            all.trust = all.trust.take().or(own.trust);
            all.priorities.append(&mut own.priorities);
        }
    }
    for (interface, counters) in statistics(evidence) {
        let own = found.entry(interface.clone()).or_default();
        // The driver lists the pauses of a priority only while PFC is on for it, and its bytes always. Source: Linux,
        // networking/device_drivers/ethernet/mellanox/mlx5/counters.rst.
        if !(0..8).all(|priority| counters.contains_key(&format!("rx_prio{priority}_bytes"))) {
            continue;
        }
        let has_pause = |priority: &u8| counters.contains_key(&format!("rx_prio{priority}_pause"));
        own.pfc.get_or_insert_with(|| (0..8).filter(has_pause).collect());
        own.global_pause.get_or_insert(counters.contains_key("rx_global_pause"));
    }
    found
}

fn trust_of(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    matches!(text.as_str(), "dscp" | "pcp").then_some(text)
}

impl Qos {
    /// Sets the priorities with PFC, where all of them are told.
    fn set_pfc(&mut self, told: &BTreeMap<u8, bool>) {
        if told.len() == 8 {
            self.pfc =
                Some(told.iter().filter(|(_, is_on)| **is_on).map(|(priority, _)| *priority).collect());
        }
    }

    /// Takes `dcb -j pfc show`: `{"pfc_cap":8,"macsec_bypass":false,"delay":0,"prio_pfc":[false,false,false,true,…]}`.
    fn take_json(&mut self, text: &str) {
        if !text.contains("\"prio_pfc\"") {
            return;
        }
        for document in objects(text) {
            let Some(list) = document.get("prio_pfc").and_then(Value::as_array) else { continue };
            let flag = |value: &Value| value.as_bool().or_else(|| Some(value.as_str()? == "on"));
            let told = (0..).zip(list).filter_map(|(priority, value)| Some((priority, flag(value)?)));
            self.set_pfc(&told.collect());
        }
    }

    fn take(&mut self, line: &str) {
        // dcb: `prio-pfc 0:off 1:off 2:off 3:on …`, of old versions `pg-pfc`; on a line with others, too.
        if let Some((_, rest)) = line.split_once("prio-pfc ").or_else(|| line.split_once("pg-pfc ")) {
            let mut told = BTreeMap::new();
            for (priority, word) in rest.split_whitespace().map_while(|word| word.split_once(':')) {
                let Some(priority) = priority.parse().ok().filter(|priority| *priority < 8) else { break };
                told.insert(priority, word == "on");
            }
            self.set_pfc(&told);
        } else if let Some(rest) = line.strip_prefix("enabled") {
            // mlnx_qos: `enabled     0   0   0   1   0   0   0   0`.
            let flags: Vec<&str> = rest.trim_start_matches(':').split_whitespace().take(9).collect();
            if flags.len() == 8 && flags.iter().all(|flag| matches!(*flag, "0" | "1")) {
                self.pfc = Some((0..8).filter(|priority| flags[usize::from(*priority)] == "1").collect());
            }
        } else if let Some(rest) = line.strip_prefix("Priority trust state:") {
            self.trust = trust_of(rest);
        } else if let Some(rest) = line.strip_prefix("order:") {
            // dcb apptrust: `order: dscp pcp`. The first field that a packet has decides.
            self.trust = rest.split_whitespace().find_map(trust_of);
        } else if let Some((priority, list)) =
            line.strip_prefix("prio:").and_then(|rest| rest.split_once(" dscp:"))
        {
            // mlnx_qos: `prio:3 dscp:31,30,29,28,27,26,25,24,`.
            let Some(priority) = priority.trim().parse().ok().filter(|priority| *priority < 8) else {
                return;
            };
            for dscp in list.split(',').filter_map(|dscp| dscp.trim().parse().ok()).filter(|dscp| *dscp < 64)
            {
                self.priorities.insert(dscp, priority);
            }
        }
    }
}

/// The priorities for which a role of congestion control is on. `None`: unknown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ecn {
    /// The notification point, which receives.
    pub(crate) np: Option<BTreeMap<u8, bool>>,
    /// The reaction point, which sends.
    pub(crate) rp: Option<BTreeMap<u8, bool>>,
}

/// Returns for which priorities congestion control is on, by the files of NVIDIA's own driver. The kernel's has none.
pub(crate) fn ecn(evidence: &Evidence<'_>, interface: &str) -> Ecn {
    let role = |role: &str| {
        let folder = format!("sys/class/net/{interface}/ecn/{role}/enable");
        let flag = |priority: u8| match evidence.text(&format!("{folder}/{priority}")).known()?.as_str() {
            "1" => Some((priority, true)),
            "0" => Some((priority, false)),
            _ => None,
        };
        let flags: BTreeMap<u8, bool> = (0..8).filter_map(flag).collect();
        (!flags.is_empty()).then_some(flags)
    };
    Ecn { np: role("roce_np"), rp: role("roce_rp") }
}

/// Returns the DSCP with which the kernel marks the RDMA traffic of a port, where the administrator set one.
pub(crate) fn dscp(evidence: &Evidence<'_>, port: &Port) -> Option<u8> {
    let number = port.number?;
    let device = &port.device;
    // `Global tclass=106`
    let class = evidence.text(&format!("sys/class/infiniband/{device}/tc/{number}/traffic_class"));
    let class = class
        .known()
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("Global tclass=")?.parse().ok()));
    let class = class.or_else(|| {
        let path = format!("sys/kernel/config/rdma_cm/{device}/ports/{number}/default_roce_tos");
        evidence.text(&path).known()?.parse().ok()
    });
    class.filter(|class: &u8| *class > 0).map(|class| class >> 2)
}
