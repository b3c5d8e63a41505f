//! The outcomes of a mix of pods, as text for people and as JSON for programs.

use super::mix::{MixAnswer, MixOutcome, MixReport, Step};
use super::verdict::GpuLinks;
use std::collections::BTreeMap;
use std::fmt::Write;

fn list(gpus: &[u32]) -> String {
    gpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Starts { gpus } => write!(f, "a pod of {} starts on GPUs {}", gpus.len(), list(gpus)),
            Self::Ends { gpus } => write!(f, "the pod on GPUs {} ends", list(gpus)),
            Self::Refused { count, free, reason } => {
                write!(f, "a pod of {count} comes; GPUs {} are free, and it is refused: {reason}", list(free))
            }
            Self::Unlinked { gpus } => {
                write!(f, "a pod of {} starts on GPUs {}, which are not linked", gpus.len(), list(gpus))
            }
        }
    }
}

impl MixReport {
    /// The outcomes, one for each policy.
    pub fn outcomes(&self) -> &[MixOutcome] {
        &self.outcomes
    }

    /// The policies under which nothing goes wrong.
    fn safe(&self) -> Vec<&'static str> {
        let fine = |outcome: &&MixOutcome| {
            outcome.refused == MixAnswer::Cannot && outcome.unlinked == MixAnswer::Cannot
        };
        self.outcomes.iter().filter(fine).map(|outcome| outcome.policy.name()).collect()
    }

    /// Why nothing can be said of linked GPUs, where that is so.
    fn no_links(&self) -> Option<&'static str> {
        match self.links {
            GpuLinks::Absent => Some("no GPUs of this machine are linked by NVLink, whatever a pod is given"),
            GpuLinks::Unknown => Some("whether NVLink joins GPUs is not known"),
            _ => None,
        }
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut text = format!("Pods of {} GPUs", self.mix);
        if self.cpus_per_gpu > 0 {
            let _ = write!(text, ", Guaranteed with {} CPUs for each GPU", self.cpus_per_gpu);
        }
        text.push_str(":\n");
        for outcome in &self.outcomes {
            let _ = writeln!(text, "\n{}:", outcome.policy);
            for (what, answer, share) in [
                ("refused again and again", &outcome.refused, outcome.refused_share),
                ("given GPUs that are not linked", &outcome.unlinked, outcome.unlinked_share),
            ] {
                // Where nothing is linked, no policy keeps pods from it.
                if what.ends_with("not linked")
                    && let Some(why) = self.no_links()
                {
                    let _ = writeln!(text, "  {why}");
                    continue;
                }
                let often = share.filter(|share| *share > 0.0);
                let often = often.map_or_else(String::new, |share| {
                    format!(" ({:.1} % of those sent, as far as chance decides)", share * 100.0)
                });
                match answer {
                    MixAnswer::Can(steps) => {
                        let _ = writeln!(text, "  pods can be {what}{often}:");
                        for (number, step) in steps.iter().enumerate() {
                            let _ = writeln!(text, "    {}. {step}", number + 1);
                        }
                    }
                    MixAnswer::Cannot => {
                        let _ =
                            writeln!(text, "  no pod is {what}: all {} states were tried", outcome.states);
                    }
                    MixAnswer::NotSeen => {
                        let _ = writeln!(
                            text,
                            "  no pod was seen {what} in {} states; there are more",
                            outcome.states
                        );
                    }
                }
            }
        }
        let safe = self.safe();
        let advice = if self.no_links().is_some() {
            let kept = if safe.is_empty() { "no policy".to_owned() } else { safe.join(" and ") };
            format!("Refusals are kept away by {kept}")
        } else if safe.is_empty() {
            "No policy keeps both away. Nodes for one size each do, or DRA claims that name linked GPUs"
                .to_owned()
        } else {
            format!("Both are kept away by {}", safe.join(" and "))
        };
        let _ = writeln!(text, "\n{advice}.");
        for remark in &self.remarks {
            let _ = writeln!(text, "- {}", nvtopo::printable(remark));
        }
        text
    }

    /// The report for programs.
    pub fn to_json(&self) -> String {
        let sizes: BTreeMap<usize, f64> = self.mix.sizes().iter().copied().collect();
        let answer = |answer: &MixAnswer| match answer {
            MixAnswer::Can(steps) => serde_json::json!({ "answer": "can", "steps": steps }),
            MixAnswer::Cannot => serde_json::json!({ "answer": "cannot" }),
            MixAnswer::NotSeen => serde_json::json!({ "answer": "not_seen" }),
        };
        let outcome = |outcome: &MixOutcome| {
            serde_json::json!({
                "policy": outcome.policy.name(),
                "refused": answer(&outcome.refused),
                "unlinked": answer(&outcome.unlinked),
                "states": outcome.states,
                "refused_share": outcome.refused_share,
                "unlinked_share": outcome.unlinked_share,
            })
        };
        let document = serde_json::json!({
            "format": "nvtopo-kubelet-mix",
            "version": 1,
            "mix": sizes,
            "cpus_per_gpu": self.cpus_per_gpu,
            "limit": self.limit,
            "outcomes": self.outcomes.iter().map(outcome).collect::<Vec<_>>(),
            "safe": self.safe(),
            "remarks": self.remarks,
        });
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }
}
