"""The JSON of nvtopo is valid by the schema that it publishes, as an independent validator reads it."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import nvtopo
import pytest
from conftest import SOURCE

SCHEMA = json.loads((SOURCE / "docs" / "topology-v1.schema.json").read_text())


@pytest.mark.parametrize("name", nvtopo.presets())
def test_presets(name: str) -> None:
    jsonschema.validate(json.loads(nvtopo.preset(name).to_json()), SCHEMA)


def test_this_machine() -> None:
    jsonschema.validate(json.loads(nvtopo.discover().to_json()), SCHEMA)


def test_what_the_command_shows() -> None:
    command = [sys.executable, "-m", "nvtopo", "show", "--from", "preset:dgx-2", "--format", "json"]
    shown = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    jsonschema.validate(shown, SCHEMA)


def test_the_schema_refuses_what_is_no_topology() -> None:
    document = json.loads(nvtopo.preset("gh200").to_json())
    document["topology"]["nodes"][0] = {"machine": {"parent": "none"}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
