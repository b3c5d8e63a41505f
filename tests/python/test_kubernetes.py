"""Objects for Kubernetes, held against the published schema of each version, and what Python says of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import nvtopo
import nvtopo.k8s
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
SCHEMAS = {
    "NodeFeature": "node-feature",
    "NodeFeatureRule": "node-feature-rule",
    "NodeResourceTopology": "node-resource-topology",
}


def command(*arguments: str) -> str:
    words = [sys.executable, "-m", "nvtopo", "k8s", *arguments]
    out = subprocess.run(words, capture_output=True, text=True, cwd="/", timeout=120)
    assert out.returncode == 0, out.stderr
    return out.stdout


def documents(text: str) -> Iterator[dict[str, Any]]:
    return (document for document in yaml.safe_load_all(text) if document is not None)


def valid(text: str, versions: list[str]) -> int:
    """The number of objects that are published by Kubernetes itself and valid in all of these versions."""
    count = 0
    for document in documents(text):
        group = document["apiVersion"].split("/")[0]
        if "." in group and not group.endswith(".k8s.io"):
            continue
        count += 1
        for version in versions:
            kubernetes_validate.validate(document, version, strict=True)
    return count


def strict(schema: Any) -> Any:
    """The schema, with fields refused that it does not name: the API server drops them without a word."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: strict(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict):
        parts["properties"] = {key: strict(part) for key, part in schema["properties"].items()}
        parts.setdefault("additionalProperties", False)
    return parts


def valid_custom(document: dict[str, Any]) -> None:
    """Holds an object against the schema that its project publishes."""
    file = ROOT / "tests/data/k8s/schema" / f"{SCHEMAS[document['kind']]}.json"
    jsonschema.validate(document, strict(json.loads(file.read_text())))


ADDRESSES = ["--pci-addresses", ",".join(f"0000:{bus:02x}:00.0" for bus in range(0x10, 0x90, 0x10))]

PODS = {
    "plain": [],
    "huge-pages": ["--hugepages-per-gpu", "2M:16,1G:1"],
    "rdma": ["--rdma", "rdma/hca"],
}


@pytest.mark.parametrize("options", PODS.values(), ids=PODS)
def test_pods_are_valid_in_each_version(options: list[str]) -> None:
    text = command("pod", "--from", "preset:dgx-h100", "--gpus", "2", "--memory-per-gpu", "64GiB", *options)
    assert valid(text, VERSIONS) == 1


def test_pods_with_claims_are_valid_where_there_are_claims() -> None:
    for version in VERSIONS[2:]:
        words = ["--gpus", "2", "--memory-per-gpu", "64GiB", "--claim", "pair", "--for", version]
        assert valid(command("pod", "--from", "preset:dgx-h100", *words), [version]) == 1


@pytest.mark.parametrize("version", VERSIONS[2:])
def test_claims_are_valid_in_their_version(version: str) -> None:
    words = ["claims", "--from", "preset:dgx-h100", "--gpus", "4", "--for", version, "--device-classes"]
    assert valid(command(*words, *ADDRESSES), [version]) >= 2
    assert valid(command(*words, "--rdma", "--cpus-per-gpu", "4", *ADDRESSES), [version]) >= 2


def test_derived_attributes_are_valid_from_1_37_on() -> None:
    words = ["claims", "--from", "preset:dgx-h100", "--gpus", "4", "--derived", *ADDRESSES]
    assert valid(command(*words), ["1.37"]) >= 1


@pytest.mark.parametrize("preset", ["dgx-h100", "rtx-a6000-4-bridged", "gb200-nvl72-tray"])
def test_policies_are_valid_in_each_version(preset: str) -> None:
    text = command("policies", "--from", f"preset:{preset}", "--quota", "8", "--allow", "train/*,default/big")
    assert valid(text, VERSIONS) >= 11


def test_labels_of_python_and_of_the_command_are_the_same() -> None:
    node = nvtopo.preset("dgx-a100")
    labels = nvtopo.k8s.labels(node, per_gpu=True)
    assert labels["nvtopo.io/nvlink.group"] == "8"
    lines = command("labels", "--from", "preset:dgx-a100", "--per-gpu").splitlines()
    assert labels == dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    feature = next(documents(command("labels", "--from", "preset:dgx-a100", "--per-gpu", "--as", "nodefeature", "--node", "n")))
    assert feature["spec"]["labels"] == labels
    assert "gpu.nvlink.group" in nvtopo.k8s.labels(node, prefix="gpu")
    with pytest.raises(nvtopo.InvalidRequestError, match="kubernetes.io"):
        nvtopo.k8s.labels(node, prefix="kubernetes.io/")


def test_pods_and_policies_of_python_and_of_the_command_are_the_same() -> None:
    node = nvtopo.preset("dgx-h100")
    pod = nvtopo.k8s.pod(node, 2, name="a", image="b:1", memory_per_gpu=64 << 30, rdma="rdma/x", version="1.36")
    words = ["--gpus", "2", "--name", "a", "--image", "b:1", "--memory-per-gpu", "64GiB", "--rdma", "rdma/x", "--for", "1.36"]
    assert pod == command("pod", "--from", "preset:dgx-h100", *words)
    with pytest.raises(nvtopo.UnsatisfiableError, match="9 GPUs"):
        nvtopo.k8s.pod(node, 9, name="a", image="b", memory_per_gpu=1 << 30)
    policies = nvtopo.k8s.policies(node, namespace="train", allow=["train/*"], quota=4)
    words = ["--namespace", "train", "--allow", "train/*", "--quota", "4"]
    assert policies == command("policies", "--from", "preset:dgx-h100", *words)


PRESETS = ["dgx-h100", "dgx-1-v100", "rtx-a6000-4-bridged", "gb200-nvl72-tray", "l40s-8-pcie"]


@pytest.mark.parametrize("preset", PRESETS)
def test_custom_resources_are_valid_against_their_published_schemas(preset: str) -> None:
    words = ["labels", "--from", f"preset:{preset}", "--per-gpu", "--as", "nodefeature", "--node", "n"]
    (feature,) = documents(command(*words))
    valid_custom(feature)
    (topology,) = documents(command("resource-topology", "--from", f"preset:{preset}", "--node", "n"))
    assert topology["zones"]
    valid_custom(topology)


def test_schemas_refuse_misspelt_fields_and_costs_that_are_texts() -> None:
    words = ["resource-topology", "--from", "preset:dgx-h100", "--node", "n"]
    (topology,) = documents(command(*words))
    topology["zones"][0]["cost"] = []
    with pytest.raises(jsonschema.ValidationError, match="'cost' was unexpected"):
        valid_custom(topology)
    (topology,) = documents(command(*words))
    topology["zones"][0]["costs"][0]["value"] = "10"
    with pytest.raises(jsonschema.ValidationError, match="not of type 'integer'"):
        valid_custom(topology)


def test_objects_of_the_document_are_valid_and_use_labels_that_there_are() -> None:
    text = (ROOT / "docs/kubernetes.md").read_text()
    blocks = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    kinds = set()
    for document in documents("\n---\n".join(blocks)):
        if document.get("kind") in SCHEMAS:
            valid_custom(document)
        elif "kind" in document:
            kubernetes_validate.validate(document, "1.37", strict=True)
        else:
            containers = [{"name": "a", "image": "b"}]
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {**document, "containers": containers}}
            for version in VERSIONS:
                kubernetes_validate.validate(pod, version, strict=True)
        kinds.add(document.get("kind", "affinity"))
    assert kinds == {"affinity", "NodeFeatureRule", "PodGroup", "Pod"}
    known = {label for preset in PRESETS for label in nvtopo.k8s.labels(nvtopo.preset(preset))}
    used = set(re.findall(r"nvtopo\.io/[a-z.-]+", "\n".join(blocks)))
    assert len(used) > 3 and used <= known | {"nvtopo.io/mig"}, used - known


def test_kubelet_configurations_of_python_and_of_the_command_are_the_same() -> None:
    node = nvtopo.preset("dgx-h100")
    config = nvtopo.k8s.kubelet_config(node, version="1.34", reserved_cores=8, hugepages=["1G:4"], largest_pod=4)
    words = ["--for", "1.34", "--reserved-cores", "8", "--hugepages", "1G:4", "--largest-pod", "4"]
    assert config == command("kubelet", "config", "--from", "preset:dgx-h100", *words)
    assert nvtopo.k8s.kubelet_lint(config, node, version="1.34", largest_pod=4)["findings"] == []
    spelt = config.replace("cpuManagerPolicy:", "cpuManagerPolcy:")
    findings = nvtopo.k8s.kubelet_lint(spelt, version="1.34")["findings"]
    assert any(finding.get("help") == "did you mean cpuManagerPolicy?" for finding in findings)
    with pytest.raises(nvtopo.InvalidInputError, match="kubelet.yaml"):
        nvtopo.k8s.kubelet_lint("a: [", node)
    with pytest.raises(nvtopo.InvalidRequestError, match="1.30"):
        nvtopo.k8s.kubelet_config(node, version="1.29")


def test_predictions_of_python_and_of_the_command_are_the_same(tmp_path: Path) -> None:
    node = nvtopo.preset("dgx-h100")
    pod = nvtopo.k8s.pod(node, 4, name="a", image="b", memory_per_gpu=1 << 30)
    (tmp_path / "pod.yaml").write_text(pod)
    words = ["kubelet", "predict", "--from", "preset:dgx-h100", "--json"]
    of_one = ["--pod", str(tmp_path / "pod.yaml"), "--taken", "0,1,4,5", "--for", "1.36"]
    report = nvtopo.k8s.kubelet_predict(node, pod, taken="0,1,4,5", version="1.36")
    assert report == json.loads(command(*words, *of_one))
    config = "kind: KubeletConfiguration\ntopologyManagerPolicy: single-numa-node\n"
    (prediction,) = nvtopo.k8s.kubelet_predict(node, pod, config=config)["predictions"]
    assert prediction["policy"] == "single-numa-node"
    (prediction,) = nvtopo.k8s.kubelet_predict(node, pod, config=config, policy="restricted", scope="pod")["predictions"]
    assert (prediction["policy"], prediction["scope"]) == ("restricted", "pod")
    nics = {"rdma/hca": "nics"}
    pod = nvtopo.k8s.pod(node, 1, name="a", image="b", memory_per_gpu=1 << 30, rdma="rdma/hca")
    (prediction,) = nvtopo.k8s.kubelet_predict(node, pod, policy="restricted", scope="pod", devices=nics)["predictions"]
    assert "rdma/hca" in json.dumps(prediction)
    state = {"policyName": "none", "defaultCpuSet": "", "entries": {"p": {"c": "0-9"}}, "checksum": 1}
    told = nvtopo.k8s.kubelet_predict(node, pod, policy="none", states={"cpu_manager_state": json.dumps(state)})
    assert told != nvtopo.k8s.kubelet_predict(node, pod, policy="none")
    assert nvtopo.k8s.kubelet_predict(node, pod, linked=False) != nvtopo.k8s.kubelet_predict(node, pod)
    mixed = nvtopo.k8s.kubelet_predict_mix(node, "2:.5,4:.5", cpus_per_gpu=4, policy="restricted", states=500)
    of_mix = ["--mix", "2:.5,4:.5", "--mix-cpus", "4", "--topology-manager-policy", "restricted", "--states", "500"]
    assert mixed == json.loads(command(*words, *of_mix))
    with pytest.raises(nvtopo.InvalidInputError, match="pod"):
        nvtopo.k8s.kubelet_predict(node, "kind: Job\napiVersion: batch/v1\n")


def test_claims_of_python_and_of_the_command_are_the_same() -> None:
    node = nvtopo.preset("dgx-h100")
    addresses = ADDRESSES[1].split(",")
    claim = nvtopo.k8s.claims(node, 4, version="1.33", addresses=addresses, any=True, device_classes=True)
    words = ["claims", "--from", "preset:dgx-h100", "--gpus", "4", "--for", "1.33", "--any", "--device-classes"]
    assert claim == command(*words, *ADDRESSES)
    table = nvtopo.k8s.claims(node, 2, addresses=addresses, allowed="2,3\n")
    assert addresses[2] in table and addresses[0] not in table
    bridged = nvtopo.preset("rtx-a6000-4-bridged")
    with pytest.raises(nvtopo.NvtopoError, match="other"):
        nvtopo.k8s.claims(node, 2, addresses=addresses, others={"other": bridged})
    slices = (ROOT / "tests/data/k8s/claims/striped-pairs.yaml").read_text()
    checked = nvtopo.k8s.claims_check(slices, node="gpu-b", only=["hold0", "paira"])
    given = {claim["claim"]: [device["name"] for device in claim["devices"]] for claim in checked}
    assert given == {"hold0": ["gpu-0"], "paira": ["gpu-1", "gpu-3"]}
    assert all(claim["reasons"] == [] and claim["best"] is None for claim in checked)
    claim = nvtopo.k8s.claims(node, 2, addresses=addresses)
    (none,) = nvtopo.k8s.claims_check(claim, [slices], node="gpu-b")
    assert none["devices"] == [] and none["remarks"]
    (edge,) = nvtopo.k8s.claims_check(slices, node="gpu-b", only=["edge"])
    assert edge["devices"] == [] and edge["reasons"]
    taken = [f"gpu-{gpu}" for gpu in range(8)]
    (waits,) = nvtopo.k8s.claims_check(slices, node="gpu-b", only=["hold0"], taken=taken)
    assert waits["devices"] == [] and waits["reasons"]


def test_the_rest_of_python_and_of_the_command_is_the_same(tmp_path: Path) -> None:
    node = nvtopo.preset("dgx-h100")
    source = ["--from", "preset:dgx-h100", "--node", "n"]
    assert nvtopo.k8s.taints(node, "n", effect="NoExecute") == command("taints", *source, "--effect", "NoExecute")
    zones = nvtopo.k8s.resource_topology(node, "n", policy="restricted", scope="pod", reserved_cpus="0-1", nic_resource="rdma/x")
    words = ["--topology-manager-policy", "restricted", "--topology-manager-scope", "pod", "--reserve", "0-1", "--rdma", "rdma/x"]
    assert zones == command("resource-topology", *source, *words)
    addresses = ADDRESSES[1].split(",")
    files = nvtopo.k8s.playbook(node, "n", namespace="train", memory_per_gpu=64 << 30, version="1.36", addresses=addresses)
    words = ["--namespace", "train", "--memory-per-gpu", "64GiB", "--for", "1.36", "--output", str(tmp_path / "book")]
    command("playbook", *source, *words, *ADDRESSES)
    written = {file.name: file.read_text() for file in (tmp_path / "book").iterdir()}
    assert files == written and "README.md" in files
    with pytest.raises(nvtopo.InvalidRequestError):
        nvtopo.k8s.playbook(node, "two words")


def test_the_python_of_the_document_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs/kubernetes.md").read_text()
    (block,) = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    (tmp_path / "topo.txt").write_text((ROOT / "tests/data/topo-m/h100-8gpu-0-51-104-155.txt").read_text())
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    assert capsys.readouterr().out == "True\n"
