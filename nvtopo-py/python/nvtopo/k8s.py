"""What a node means for Kubernetes: labels, pods and policies. Nothing asks a cluster, and nothing is applied.

    import nvtopo, nvtopo.k8s

    node = nvtopo.load("topo.txt")      # a saved nvidia-smi topo -m is enough
    nvtopo.k8s.labels(node)             # {"nvtopo.io/nvlink.group": "8", ...}
"""

from ._nvtopo import k8s_labels as labels
from ._nvtopo import k8s_pod as pod
from ._nvtopo import k8s_policies as policies

__all__ = ["labels", "pod", "policies"]
