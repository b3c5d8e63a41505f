"""A node for Kubernetes: labels, kubelet settings and predictions, claims, pods, policies. Nothing asks a cluster, and
nothing is applied.

    import nvtopo, nvtopo.k8s

    node = nvtopo.load("topo.txt")      # a saved nvidia-smi topo -m is enough
    nvtopo.k8s.labels(node)             # {"nvtopo.io/nvlink.group": "8", ...}
"""

from ._nvtopo import k8s_claims as claims
from ._nvtopo import k8s_claims_check as claims_check
from ._nvtopo import k8s_kubelet_config as kubelet_config
from ._nvtopo import k8s_kubelet_lint as kubelet_lint
from ._nvtopo import k8s_kubelet_predict as kubelet_predict
from ._nvtopo import k8s_kubelet_predict_mix as kubelet_predict_mix
from ._nvtopo import k8s_labels as labels
from ._nvtopo import k8s_playbook as playbook
from ._nvtopo import k8s_pod as pod
from ._nvtopo import k8s_policies as policies
from ._nvtopo import k8s_resource_topology as resource_topology
from ._nvtopo import k8s_taints as taints

__all__ = [
    "claims",
    "claims_check",
    "kubelet_config",
    "kubelet_lint",
    "kubelet_predict",
    "kubelet_predict_mix",
    "labels",
    "playbook",
    "pod",
    "policies",
    "resource_topology",
    "taints",
]
