"""Objects for Kubernetes, held against the published schema of each version, and what Python says of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import nvtopo
import nvtopo.k8s
import pytest
import yaml

VERSIONS = [f"1.{minor}" for minor in range(30, 38)]


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
