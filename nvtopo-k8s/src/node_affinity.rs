//! The labels that a pod asks of its node: which of them a node does not have.

use crate::yaml;
use nvtopo::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    kind: String,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_selector: Option<BTreeMap<String, String>>,
    affinity: Option<Affinity>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Affinity {
    node_affinity: Option<NodeAffinity>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<Selector>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    node_selector_terms: Vec<Term>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Term {
    match_expressions: Vec<Expression>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

/// Returns why the labels of a node keep a pod from it, in one sentence. `None`: they do not. Labels count as the scheduler
/// counts them: all of `nodeSelector`, and all expressions of one term of the required node affinity.
///
/// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) and the place for what is no pod.
///
/// ```
/// use nvtopo_k8s::node_affinity::unmet;
/// use std::collections::BTreeMap;
///
/// let pod = "kind: Pod\nspec: {nodeSelector: {nvtopo.io/mig: 'off'}}\n";
/// let node = |value: &str| BTreeMap::from([("nvtopo.io/mig".to_owned(), value.to_owned())]);
/// assert_eq!(unmet("pod.yaml", pod, &node("off"))?, None);
/// assert_eq!(unmet("pod.yaml", pod, &node("on"))?.unwrap(), "it wants nvtopo.io/mig to be off, and it is on");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn unmet(name: &str, pod: &str, labels: &BTreeMap<String, String>) -> Result<Option<String>> {
    let files: Vec<File> = yaml::read(name, pod)?;
    let [File { kind, spec }] = files.as_slice() else {
        return Err(
            Error::input(format!("there are {} documents, and not one pod", files.len())).in_input(name)
        );
    };
    if kind != "Pod" {
        return Err(Error::input(format!("this is {kind:?}, and not a pod")).in_input(name));
    }
    for (key, value) in spec.node_selector.iter().flatten() {
        let wanted =
            Expression { key: key.clone(), operator: "In".to_owned(), values: Some(vec![value.clone()]) };
        if !wanted.is_met(labels) {
            return Ok(Some(wanted.why_not(labels)));
        }
    }
    let affinity = spec.affinity.as_ref().and_then(|own| own.node_affinity.as_ref());
    let required = affinity.and_then(|own| own.required_during_scheduling_ignored_during_execution.as_ref());
    let Some(selector) = required else { return Ok(None) };
    let mut reasons = Vec::new();
    for term in &selector.node_selector_terms {
        // A term without expressions selects no node.
        let unmet = term.match_expressions.iter().find(|own| !own.is_met(labels));
        match unmet {
            None if !term.match_expressions.is_empty() => return Ok(None),
            None => {}
            Some(own) => reasons.push(own.why_not(labels)),
        }
    }
    Ok(Some(reasons.into_iter().next().unwrap_or_else(|| "its node affinity selects no node".to_owned())))
}

impl Expression {
    fn values(&self) -> &[String] {
        self.values.as_deref().unwrap_or_default()
    }

    fn is_met(&self, labels: &BTreeMap<String, String>) -> bool {
        let own = labels.get(&self.key);
        let number = |text: &String| text.parse::<i64>().ok();
        let bound = || self.values().first().and_then(number);
        match self.operator.as_str() {
            "In" => own.is_some_and(|own| self.values().contains(own)),
            "NotIn" => own.is_none_or(|own| !self.values().contains(own)),
            "Exists" => own.is_some(),
            "DoesNotExist" => own.is_none(),
            "Gt" => own.and_then(number).zip(bound()).is_some_and(|(own, bound)| own > bound),
            "Lt" => own.and_then(number).zip(bound()).is_some_and(|(own, bound)| own < bound),
            _ => false,
        }
    }

    fn why_not(&self, labels: &BTreeMap<String, String>) -> String {
        let values = self.values().join(" or ");
        let wanted = match self.operator.as_str() {
            "In" => format!("to be {values}"),
            "NotIn" => format!("not to be {values}"),
            "Exists" => "to be set".to_owned(),
            "DoesNotExist" => "not to be set".to_owned(),
            "Gt" => format!("to be more than {values}"),
            "Lt" => format!("to be less than {values}"),
            other => format!("to be {other} {values}, which no scheduler knows"),
        };
        let is = match labels.get(&self.key) {
            Some(own) => format!("it is {own}"),
            None => "the node has no such label".to_owned(),
        };
        format!("it wants {} {wanted}, and {is}", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(expressions: &str, labels: &[(&str, &str)]) -> Option<String> {
        let pod = format!(
            "kind: Pod\nspec: {{affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: \
             [{expressions}]}}}}}}}}\n"
        );
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        unmet("pod", &pod, &labels.collect()).unwrap()
    }

    #[test]
    fn each_operator_is_the_schedulers() {
        for (operator, values, good, bad) in [
            ("In", "[a, b]", Some("b"), Some("c")),
            ("In", "[a]", Some("a"), None),
            ("NotIn", "[a]", None, Some("a")),
            ("Exists", "[]", Some(""), None),
            ("DoesNotExist", "[]", None, Some("a")),
            ("Gt", "['3']", Some("4"), Some("3")),
            ("Gt", "['3']", Some("4"), Some("many")),
            ("Lt", "['3']", Some("2"), None),
        ] {
            let term = format!("{{matchExpressions: [{{key: k, operator: {operator}, values: {values}}}]}}");
            let with = |value: Option<&'static str>| value.map(|value| ("k", value));
            let labels = |value| with(value).into_iter().collect::<Vec<_>>();
            assert_eq!(why(&term, &labels(good)), None, "{operator} {good:?}");
            let reason = why(&term, &labels(bad)).unwrap();
            assert!(reason.starts_with("it wants k "), "{operator} {bad:?}: {reason}");
        }
    }

    #[test]
    fn one_term_is_enough_and_all_of_its_expressions_count() {
        let a = "{matchExpressions: [{key: a, operator: Exists}, {key: b, operator: Exists}]}";
        let c = "{matchExpressions: [{key: c, operator: Exists}]}";
        let both = format!("{a}, {c}");
        assert_eq!(why(&both, &[("c", "")]), None);
        assert_eq!(why(&both, &[("a", ""), ("b", "")]), None);
        assert!(
            why(&both, &[("a", "")])
                .unwrap()
                .contains("it wants b to be set, and the node has no such label")
        );
        assert!(why("{}", &[]).unwrap().contains("selects no node"));
        assert!(why("", &[]).is_some());
        assert!(unmet("x", "kind: Node\n", &BTreeMap::new()).is_err());
        assert!(unmet("x", "", &BTreeMap::new()).is_err());
    }

    #[test]
    fn the_pods_of_a_machine_want_its_labels() {
        use crate::labels::{LabelOptions, Labels};
        use crate::pod::{PodOptions, pod};
        let node = nvtopo::Topology::preset("dgx-h100").unwrap();
        let mut options = PodOptions::new("train", "example.com/train:1");
        options.memory_per_gpu = Some(1 << 30);
        let text = pod(&node, 8, &options).unwrap();
        let labels = Labels::of(&node, &LabelOptions::default());
        let mut labels: BTreeMap<String, String> =
            labels.iter().map(|(key, value)| (key, value.to_owned())).collect();
        assert_eq!(unmet("pod", &text, &labels).unwrap(), None);
        labels.remove("nvtopo.io/nvlink.group.largest");
        assert!(
            unmet("pod", &text, &labels).unwrap().unwrap().contains("nvlink.group.largest to be more than 7")
        );
    }
}
