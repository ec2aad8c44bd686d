"""Workers on Ray: the same bytes as without, whoever is lost meanwhile; two nodes of a cluster on this machine."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest

import aftertune
from aftertune.explainers.explainer import Inputs, Work
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, Stage, silent
from aftertune.study.engine.board import TRIES
from aftertune.study.engine.process import Plan
from aftertune.study.intent import Intent
from aftertune.study.measure import measure
from aftertune.study.templates import Template
from command_line import save_checkpoint, save_prompts, snapshot, third_party_warnings
from head_files import save_head_files

ray = pytest.importorskip("ray")
pytest_plugins = ("cli_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings

STORE = 80 * 2**20
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "OMP_NUM_THREADS": "1"}
OURS = {"_system_config": {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head with one processor and a node with another, both on this machine; the driver is at the head."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        tests = {"PYTHONPATH": f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"}  # where `Faulty` is found
        for name, value in (QUIET | tests).items():
            patch.setenv(name, value)
        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False, **OURS}
        made = Cluster(initialize_head=True, head_node_args=head)
        before = signal.getsignal(signal.SIGTERM)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        signal.signal(signal.SIGTERM, before)
        yield made
        ray.shutdown()
        made.shutdown()


def second(cluster: Any) -> Any:
    """Another node with one processor."""
    return cluster.add_node(num_cpus=1, object_store_memory=STORE)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a study of all explainers is given."""
    folder = tmp_path_factory.mktemp("models")
    words = save_head_files(folder)
    return {
        "base": save_checkpoint(folder / "base"),
        "tuned": save_checkpoint(folder / "tuned", seed=1),
        "prompts": save_prompts(folder / "prompts.jsonl"),
        **{"words": str(words.words), "vectors": str(words.vectors), "n_components": 5},
        **{"max_new_tokens": 4, "check": 1, "device": "cpu", "noise_draws": 3, "noise_models": 2},
        **{
            "outputs": {"answer_tokens": 4, "sampled_answers": 1, "n_samples": 1},
            "location": {"answer_tokens": 4, "texts": 3},
        },
    }


def measured(models: dict[str, Any], run: Path, engine: Any = None, progress: Progress = silent) -> Path:
    with third_party_warnings():
        measure(aftertune.Study(**models, run=run), progress, engine=engine)
    return run


@pytest.fixture(scope="module")
def whole(models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return snapshot(measured(models, tmp_path_factory.mktemp("whole") / "run"))


def workers() -> list[psutil.Process]:
    """The processes of workers that have begun."""
    return [one for one in psutil.process_iter(["cmdline"]) if "ray::Worker" in " ".join(one.info["cmdline"] or [])]


def test_the_same_bytes_with_a_worker_killed_and_a_node_removed(
    cluster: Any, models: dict[str, Any], whole: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node, done = second(cluster), list[str]()

    def disturb(stage: Stage, *_: float) -> None:
        if stage.step == "attribution" and "kill" not in done:
            done.append("kill")
            os.kill(workers()[0].pid, signal.SIGKILL)
        if stage.explainer == "concepts" and "remove" not in done:
            done.append("remove")
            cluster.remove_node(node, allow_graceful=False)

    run = measured(models, tmp_path / "run", aftertune.RayEngine(), disturb)
    assert sorted(done) == ["kill", "remove"]
    now = snapshot(run)
    assert {name for name in now.keys() | whole.keys() if now.get(name) != whole.get(name)} == set()
    assert not psutil.wait_procs(workers(), timeout=20)[1], "all end, those of the node that is gone a moment later"
    # None is told where the run ends before the worker that was killed is back; what is told, `test_turns` tries.
    said = [one.message for one in caplog.records if one.name.startswith("aftertune.")]
    assert all("did not end" in one and one.endswith(("made again.", "made stays.")) for one in said), said


@dataclass(frozen=True)
class Faulty(Work):
    """Units of which one does something bad."""

    folder: Path
    bad: Callable[[], None]
    is_shared = True

    def measure(self, checkpoint: Any, role: str, run: RunFolder, progress: Any) -> None:  # noqa: ARG002
        for n in run.missing(range(4), lambda n: [part(run, n)], lambda done, total: progress("units", done, total)):
            if n == 2:
                (self.folder / f"{time.time_ns()}").touch()
                self.bad()
            run.write_frame(part(run, n), pl.DataFrame({"n": [n]}))


def part(run: RunFolder, n: int) -> tuple[str, str, str]:
    return run.part("faulty", "base", f"unit-{n}")


def fall_over() -> None:
    raise ZeroDivisionError("something in the way")


def measure_faulty(models: dict[str, Any], folder: Path, bad: Callable[[], None]) -> None:
    """One checkpoint with units of which one is bad, by the crew of an engine."""
    (folder / "bad").mkdir()
    study = aftertune.Study(models["base"], models["tuned"], run=folder / "run", device="cpu")
    run = RunFolder.start(study.run, {"base": study.base.identity()}, {"aftertune": "0"})
    run.remember("begun.json", {})
    plan = Plan(study, {"base": study.base}, {"faulty": Faulty(folder / "bad", bad)}, Inputs(), Template())
    intent = Intent(study, run, plan.subjects, {}, plan.works, plan.inputs)
    with aftertune.RayEngine(workers=1).crew(plan, run, intent, silent) as crew:
        crew.measure("models", ["base"])


@pytest.mark.usefixtures("cluster")
def test_a_unit_that_always_fails_ends_the_run_with_its_reason(models: dict[str, Any], tmp_path: Path) -> None:
    said = r"faulty/base/unit-2\.parquet failed 3 times, the last time because ZeroDivisionError: something in the way"
    with pytest.raises(aftertune.RunError, match=said):
        measure_faulty(models, tmp_path, fall_over)
    assert len(list((tmp_path / "bad").iterdir())) == TRIES
