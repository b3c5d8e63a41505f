//! Remarks on what a pod has that the kubelet's managers do not see, or do not serve.

use super::Predictor;
use super::pod::Pod;

impl Predictor {
    /// Remarks on a pod here, whatever the policy.
    ///
    /// ```
    /// use nvtopo_k8s::kubelet::predict::{Pod, Predictor, Settings, Taken};
    ///
    /// let node = nvtopo::Topology::preset("dgx-h100")?;
    /// let predictor = Predictor::new(&node, Settings::default(), &Taken::default())?;
    /// let remarks = predictor.remarks(&Pod::gpus(2, 0));
    /// assert!(remarks[0].contains("not Guaranteed"));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn remarks(&self, pod: &Pod) -> Vec<String> {
        let mut remarks = Vec::new();
        if !pod.claims.is_empty() {
            remarks.push(format!(
                "claims for devices ({}) give the topology manager no hints: CPUs and memory are not aligned with what they \
                 allocate. A claim for CPUs beside them (dra-driver-cpu) is; then ask for no CPUs of the static CPU manager",
                pod.claims.join(", ")
            ));
        }
        if pod.whole_resources {
            remarks.push(
                "requests stand at the pod (spec.resources): the static CPU manager and the memory manager pass it by, \
                 unless PodLevelResourceManagers, alpha since 1.36, is on"
                    .to_owned(),
            );
        } else if !pod.guaranteed {
            remarks.push(
                "the pod is not Guaranteed: it gets no CPUs and no memory for itself. Give every container limits for cpu \
                 and memory, and no other requests"
                    .to_owned(),
            );
        } else {
            let in_parts = pod
                .containers
                .iter()
                .filter(|container| container.requests.get("cpu").is_some_and(|cpus| !cpus.is_whole()));
            let names: Vec<&str> = in_parts.map(|container| container.name.as_str()).collect();
            if !names.is_empty() {
                remarks
                    .push(format!("{} asks for parts of a CPU, and gets none for itself", names.join(", ")));
            }
        }
        let strange: Vec<String> =
            pod.extended().into_iter().filter(|name| !self.node.resources.contains_key(name)).collect();
        if !strange.is_empty() {
            remarks.push(format!(
                "nobody says which devices {} are: they are left out, as if they had no NUMA node",
                strange.join(", ")
            ));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Taken};
    use super::*;

    fn remarks(spec: &str) -> String {
        let text = format!("apiVersion: v1\nkind: Pod\nspec: {spec}");
        let node = nvtopo::Topology::preset("dgx-h100").unwrap();
        let predictor = Predictor::new(&node, Settings::default(), &Taken::default()).unwrap();
        predictor.remarks(&Pod::from_yaml("p", &text).unwrap()).join("\n")
    }

    #[test]
    fn what_the_managers_do_not_serve_is_told() {
        let good = "{containers: [{name: a, resources: {limits: {cpu: 2, memory: 1Gi, nvidia.com/gpu: 1}}}]}";
        assert_eq!(remarks(good), "");
        for (spec, told) in [
            (
                "{containers: [{name: a}], resourceClaims: [{name: gpus, resourceClaimTemplateName: x}]}",
                "dra-driver-cpu",
            ),
            ("{containers: [{name: a}]}", "not Guaranteed"),
            ("{containers: [{name: a, resources: {limits: {cpu: 1500m, memory: 1Gi}}}]}", "a asks for parts"),
            ("{resources: {limits: {cpu: 2, memory: 1Gi}}, containers: [{name: a}]}", "at the pod"),
            ("{containers: [{name: a, resources: {limits: {rdma/hca: 1}}}]}", "rdma/hca"),
        ] {
            assert!(remarks(spec).contains(told), "{spec}: {}", remarks(spec));
        }
    }
}
