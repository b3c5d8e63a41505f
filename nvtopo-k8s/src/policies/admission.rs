//! One `ValidatingAdmissionPolicy` with its binding.

use super::PolicyOptions;
use crate::yaml;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use nvtopo::Result;
use serde_json::{Value, json};

/// The name of the parameters, a `ConfigMap`.
pub(super) const PARAMETERS: &str = "nvtopo";

/// A policy for pods that are created.
pub(super) struct Admission {
    name: &'static str,
    parameters: bool,
    comment: Vec<String>,
    variables: Vec<(String, String)>,
    validations: Vec<(String, String)>,
}

impl Admission {
    /// A policy without rules, in which `variables.containers` are all containers of the pod and `variables.asks` is how many
    /// GPUs each asks for.
    pub(super) fn new(name: &'static str, options: &PolicyOptions) -> Self {
        let containers =
            "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])";
        let amount = |resource: &str| {
            format!(
                "('{resource}' in c.resources.limits ? int(string(c.resources.limits['{resource}'])) : 0)"
            )
        };
        let asks = format!(
            "variables.containers.map(c, has(c.resources) && has(c.resources.limits) ? {} + {} : 0)",
            amount(&options.resource),
            amount(&format!("deviceclass.resource.kubernetes.io/{}", options.class)),
        );
        Self { name, parameters: true, comment: Vec::new(), variables: Vec::new(), validations: Vec::new() }
            .variable("containers", containers)
            .variable("asks", &asks)
    }

    /// A policy that needs no parameters.
    pub(super) fn without_parameters(mut self) -> Self {
        self.parameters = false;
        self
    }

    /// Adds a line that says what the policy is for.
    pub(super) fn comment(mut self, line: impl Into<String>) -> Self {
        self.comment.push(line.into());
        self
    }

    /// Adds a variable, which those after it and the rules may use.
    pub(super) fn variable(mut self, name: &str, expression: &str) -> Self {
        self.variables.push((name.to_owned(), expression.to_owned()));
        self
    }

    /// Adds a rule that must hold, and the expression of what is said where it does not.
    pub(super) fn validation(mut self, expression: &str, message: &str) -> Self {
        self.validations.push((expression.to_owned(), message.to_owned()));
        self
    }

    fn policy(&self) -> Value {
        let variables = self.variables.iter();
        let variables: Vec<Value> =
            variables.map(|(name, expression)| json!({ "name": name, "expression": expression })).collect();
        let rule = |(expression, message): &(String, String)| json!({ "expression": expression, "messageExpression": message, "reason": "Invalid" });
        let mut policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": self.name },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                }] },
                "variables": variables,
                "validations": self.validations.iter().map(rule).collect::<Vec<_>>(),
            },
        });
        if self.parameters {
            policy["spec"]["paramKind"] = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
        }
        policy
    }

    /// The policy and its binding, which denies, and denies as well where the parameters are missing.
    pub(super) fn documents(&self, namespace: &str) -> Result<[String; 2]> {
        let mut binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": format!("{}-{namespace}", self.name) },
            "spec": {
                "policyName": self.name,
                "validationActions": ["Deny", "Audit"],
                "matchResources": { "namespaceSelector": { "matchLabels": {
                    "kubernetes.io/metadata.name": namespace,
                } } },
            },
        });
        if self.parameters {
            binding["spec"]["paramRef"] =
                json!({ "name": PARAMETERS, "namespace": namespace, "parameterNotFoundAction": "Deny" });
        }
        let mut comment = self.comment.clone();
        comment.push("Holds for Kubernetes 1.30 to 1.37.".to_owned());
        Ok([
            yaml::object::<ValidatingAdmissionPolicy>(&comment, &self.policy())?,
            yaml::object::<ValidatingAdmissionPolicyBinding>(
                &["It holds in one namespace: each has a binding and parameters of its own.".to_owned()],
                &binding,
            )?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use crate::policies::{Policies, PolicyOptions};
    use cel::{Context, Program, Value as Cel};
    use nvtopo::Topology;
    use serde_json::{Value, json};

    /// Evaluates a policy's CEL on a pod; errors with the policy's message where it is refused.
    fn judge(policies: &Policies, policy: &str, pod: &Value, namespace: &str) -> Result<(), String> {
        let documents = policies.objects().unwrap();
        let all: Vec<Value> = crate::yaml::read("policies", &documents).unwrap();
        let of = |kind: &str, name: &str| {
            all.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
        };
        let spec = &of("ValidatingAdmissionPolicy", policy)["spec"];
        let mut context = Context::default();
        context.add_variable("object", pod.clone()).unwrap();
        context.add_variable("params", of("ConfigMap", "nvtopo").clone()).unwrap();
        context.add_variable("request", json!({ "namespace": namespace })).unwrap();
        let mut variables = std::collections::HashMap::new();
        context.add_variable_from_value("variables", variables.clone());
        let run = |context: &Context<'_, '_>, expression: &Value| {
            let program = Program::compile(expression.as_str().unwrap()).unwrap();
            program.execute(context).map_err(|error| format!("{expression}: {error}"))
        };
        for variable in spec["variables"].as_array().unwrap() {
            let value = run(&context, &variable["expression"]).unwrap();
            variables.insert(variable["name"].as_str().unwrap().to_owned(), value);
            context.add_variable_from_value("variables", variables.clone());
        }
        for validation in spec["validations"].as_array().unwrap() {
            if run(&context, &validation["expression"])? != Cel::Bool(true) {
                let Cel::String(said) = run(&context, &validation["messageExpression"])? else {
                    return Err("no message".to_owned());
                };
                return Err(said.to_string());
            }
        }
        Ok(())
    }

    fn pod(gpus: &str) -> Value {
        json!({ "metadata": { "name": "p" }, "spec": { "containers": [
            { "name": "side" },
            { "name": "main", "resources": { "limits": { "nvidia.com/gpu": gpus, "cpu": "8" } } },
        ] } })
    }

    fn bridged(allowed: &[&str]) -> Policies {
        let allowed = allowed.iter().map(|entry| (*entry).to_owned()).collect();
        let options = PolicyOptions { allowed, ..PolicyOptions::default() };
        Policies::of(&Topology::preset("rtx-a6000-4-bridged").unwrap(), &options).unwrap()
    }

    #[test]
    fn counts_that_break_groups_are_refused() {
        let policies = bridged(&[]);
        let judged = |pod: &Value| judge(&policies, "nvtopo-gpu-count", pod, "default");
        for good in ["0", "1", "2", "4"] {
            judged(&pod(good)).unwrap();
        }
        for bad in ["3", "5", "12", "14", "24"] {
            let said = judged(&pod(bad)).unwrap_err();
            assert!(said.ends_with("use one of 1,2,4"), "{said}");
        }
        let mut exempt = pod("3");
        exempt["metadata"]["annotations"] = json!({ "nvtopo.io/any-count": "yes" });
        judged(&exempt).unwrap();
        judged(&json!({ "metadata": {}, "spec": { "containers": [{ "name": "a", "resources": {} }] } }))
            .unwrap();
        let mut first = pod("1");
        first["spec"]["initContainers"] = pod("3")["spec"]["containers"].clone();
        judged(&first).unwrap_err();
    }

    #[test]
    fn alignment_is_for_named_service_accounts() {
        let policies = bridged(&["train/*", "default/big"]);
        let judged = |pod: &Value, namespace: &str| judge(&policies, "nvtopo-gpu-alignment", pod, namespace);
        judged(&pod("2"), "default").unwrap();
        judged(&pod("4"), "train").unwrap();
        let said = judged(&pod("4"), "default").unwrap_err();
        assert!(said.contains("(2)") && said.ends_with("default/default"), "{said}");
        let mut big = pod("4");
        big["spec"]["serviceAccountName"] = json!("big");
        judged(&big, "default").unwrap();
        judged(&big, "other").unwrap_err();
        // No name is the beginning of another.
        big["spec"]["serviceAccountName"] = json!("bi");
        judged(&big, "default").unwrap_err();
        let mut claim = pod("0");
        claim["spec"]["resourceClaims"] = json!([{ "name": "g", "resourceClaimTemplateName": "pair" }]);
        judged(&claim, "default").unwrap_err();
        judged(&claim, "train").unwrap();
        let class = "deviceclass.resource.kubernetes.io/gpu.nvidia.com";
        let extended = |gpus: &str| {
            json!({ "metadata": {}, "spec": { "containers": [
            { "name": "a", "resources": { "limits": { class: gpus } } },
        ] } })
        };
        judged(&extended("1"), "default").unwrap_err();
        judged(&extended("1"), "train").unwrap();
        judge(&policies, "nvtopo-gpu-count", &extended("3"), "train").unwrap_err();
        judge(&policies, "nvtopo-gpu-count", &extended("2"), "train").unwrap();
        judge(&bridged(&[]), "nvtopo-gpu-alignment", &claim, "default").unwrap();
    }

    #[test]
    fn devices_come_from_plugins_and_claims_only() {
        let policies = bridged(&[]);
        let judged = |pod: &Value| judge(&policies, "nvtopo-gpu-devices", pod, "default");
        judged(&pod("1")).unwrap();
        let with = |at: &str, value: Value| {
            let mut pod = pod("1");
            *pod.pointer_mut(at).unwrap() = value;
            pod
        };
        let container = |more: Value| {
            let mut container = json!({ "name": "c" });
            container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            with("/spec/containers/0", container)
        };
        judged(&container(json!({ "env": [{ "name": "NCCL_DEBUG", "value": "INFO" }] }))).unwrap();
        for name in ["NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"] {
            judged(&container(json!({ "env": [{ "name": name, "value": "all" }] }))).unwrap_err();
        }
        let volume = |volume: Value| {
            let mut pod = pod("1");
            pod["spec"]["volumes"] = json!([volume]);
            pod
        };
        judged(&volume(json!({ "name": "x", "emptyDir": {} }))).unwrap();
        judged(&volume(json!({ "name": "x", "hostPath": { "path": "/data" } }))).unwrap();
        judged(&volume(json!({ "name": "x", "hostPath": { "path": "/dev/shm" } }))).unwrap();
        judged(&volume(json!({ "name": "x", "hostPath": { "path": "/devices" } }))).unwrap();
        for path in [
            "/dev/nvidia0",
            "/dev/infiniband/uverbs0",
            "/dev",
            "/",
            "//dev/nvidia0",
            "/dev/.",
            "/./dev/char",
            "/.",
            "/proc/1/root/dev",
            "/dev/shm/../nvidia0",
        ] {
            judged(&volume(json!({ "name": "x", "hostPath": { "path": path } }))).unwrap_err();
        }
        let mount = |path: &str| container(json!({ "volumeMounts": [{ "name": "x", "mountPath": path }] }));
        judged(&mount("/data")).unwrap();
        judged(&mount("/var/run/nvidia-container-devices/all")).unwrap_err();
        let mut sriov =
            container(json!({ "resources": { "limits": { "openshift.io/nvtopo_infiniband": 1 } } }));
        judged(&sriov).unwrap();
        sriov["spec"]["hostNetwork"] = json!(true);
        judged(&sriov).unwrap_err();
        let mut rdma = container(json!({ "resources": { "limits": { "rdma/hca": "1" } } }));
        judged(&rdma).unwrap();
        rdma["spec"]["hostNetwork"] = json!(true);
        judged(&rdma).unwrap_err();
        let mut plain = pod("1");
        plain["spec"]["hostNetwork"] = json!(true);
        judged(&plain).unwrap();
    }
}
