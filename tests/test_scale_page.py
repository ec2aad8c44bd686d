"""docs/scale.md: its commands are parsed by the program, its files by who reads them, its costs are the formulas'."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
import yaml
from bench import costs

from aftertune.cli.app import app
from pages import blocks_of, read

PAGE = "docs/scale.md"
FILES = [yaml.safe_load(block) for block in blocks_of(PAGE, "yaml")]


def commands() -> list[list[str]]:
    """Every call of aftertune, also inside other commands, as words."""
    whole = "\n".join(blocks_of(PAGE, "sh") + blocks_of(PAGE, "bash")).replace("\\\n", " ")
    found = re.findall(r"(?:^|[\s\"])(aftertune compare [^\n\"#]*(?:\"\$[^\n#]*)?)", whole)
    return [shlex.split(one) for one in found]


def test_there_is_a_command_for_every_place() -> None:
    words = [word for command in commands() for word in command]
    assert len(commands()) >= 12
    for shown in ("--only", "--dtype", "--ray", "--workers", "--device", "s3://bucket/run"):
        assert shown in words


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_its_commands_are_parsed(words: list[str]) -> None:
    program = typer.main.get_command(app)
    command = program.get_command(None, words[1])  # type: ignore[attr-defined]
    assert command is not None
    command.make_context(words[1], words[2:])


@pytest.mark.parametrize("script", blocks_of(PAGE, "bash"))
def test_its_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert script.startswith("#!/bin/bash\n#SBATCH")


def test_the_cluster_is_one_that_ray_accepts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    util = pytest.importorskip("ray.autoscaler._private.util", reason="Ray is not installed")
    monkeypatch.setenv("HOME", str(tmp_path))
    (cluster,) = (one for one in FILES if "cluster_name" in one)
    found = util.prepare_config(cluster)
    util.validate_config(found)
    assert found["head_node_type"] in found["available_node_types"]
    assert len(found["provider"]["worker_ips"]) == cluster["max_workers"]


def test_the_cluster_on_kubernetes_has_what_its_kind_needs() -> None:
    (cluster,) = (one for one in FILES if one.get("kind") == "RayCluster")
    spec, (group,) = cluster["spec"], cluster["spec"]["workerGroupSpecs"]
    assert cluster["apiVersion"] == "ray.io/v1" and cluster["metadata"]["name"] == "aftertune"
    for one in (spec["headGroupSpec"], group):
        (container,) = one["template"]["spec"]["containers"]
        assert container["image"].endswith(spec["rayVersion"]) and "rayStartParams" in one
        assert container["resources"]["limits"] == container["resources"]["requests"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_costs_are_those_of_the_formulas() -> None:
    assert costs.table() in read(PAGE), "run: python -m bench.costs"


def test_a_map_by_removal_costs_what_the_page_says() -> None:
    size = costs.MODELS["7B"]
    d, inner, layers = size["hidden_size"], size["intermediate_size"], size["num_hidden_layers"]
    weights = layers * (4 * d * d + 3 * d * inner + 2 * d)
    positions = 50 + 300 - 1 - 25  # from the middle of the prompt on
    own = 50 * 2 * weights * positions
    found = costs.parts()["a map by removal"](costs.size_of("7B")).operations
    assert own < found < 1.1 * own  # attention and the vocabulary come on top
