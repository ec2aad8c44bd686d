"""How many workers have room in a cluster, and what each gets; which addresses are allowed, and which answer."""

import importlib.util
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import aftertune
from aftertune.study.engine import connection
from aftertune.study.engine.connection import must_be_address
from aftertune.study.engine.room import Room, find_room, gpus_of_worker
from command_line import CommandLine

pytest_plugins = ("cli_fixtures",)
QUICK = ("--only", "attribution", "--run", "run", "--device", "cpu")
LAPTOP = {"CPU": 8.0, "memory": 12e9}
SERVER = {"CPU": 64.0, "GPU": 8.0, "memory": 500e9}
HEAD = {"CPU": 0.0, "memory": 4e9}


def test_there_are_as_many_workers_as_memory_allows_and_processors_are_shared_evenly() -> None:
    assert find_room([LAPTOP], None, 0, 1e9) == Room(8, 1, 0, 1e9)
    assert find_room([LAPTOP], None, 0, 5e9) == Room(2, 4, 0, 5e9)
    assert find_room([LAPTOP], 3, 0, 1e9) == Room(3, 2, 0, 1e9)
    assert find_room([HEAD, LAPTOP, LAPTOP], None, 0, 5e9) == Room(4, 4, 0, 5e9)


def test_a_worker_has_a_gpu_of_its_own() -> None:
    assert gpus_of_worker("auto", [SERVER]) == gpus_of_worker("cuda", [LAPTOP, SERVER]) == 1
    assert gpus_of_worker("auto", [LAPTOP]) == gpus_of_worker("cpu", [SERVER]) == 0
    assert gpus_of_worker("balanced", [SERVER]) == 8
    assert find_room([SERVER] * 8, None, 1, 20e9) == Room(64, 8, 1, 20e9)
    assert find_room([LAPTOP, SERVER], None, 8, 20e9) == Room(1, 64, 8, 20e9)


def test_more_workers_than_have_room_are_refused_with_what_there_is() -> None:
    with pytest.raises(
        aftertune.RunError, match=r"room for 2 workers .* 3 were asked for.* 5\.0 GB .* 8 CPUs, 0 GPUs, 12\.0"
    ):
        find_room([LAPTOP], 3, 0, 5e9)
    with pytest.raises(aftertune.RunError, match=r"no room for a worker.*1 GPU .* 64 CPUs, 8 GPUs"):
        find_room([SERVER], None, 1, 900e9)


@pytest.mark.parametrize("device", ["cuda", "balanced", "cuda:1"])
def test_a_device_that_no_machine_has_is_refused(device: str) -> None:
    with pytest.raises(aftertune.RunError, match=f"the device is {device}" if ":" in device else "no machine .* a GPU"):
        gpus_of_worker(device, [LAPTOP])


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.3:6379", "head.cluster:6379", "[::1]:6379"])
def test_addresses(address: str) -> None:
    must_be_address(address)


@pytest.mark.parametrize("address", ["", "head", "ray://head:10001", "http://head:6379", "head:port", "head:6379/x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(aftertune.RunError):
        must_be_address(address)


def test_workers_are_counted_from_one() -> None:
    with pytest.raises(aftertune.RunError, match="0 workers"):
        aftertune.RayEngine("local", workers=0)


def test_workers_without_ray_are_refused(cli: CommandLine, base: Path, tuned: Path) -> None:
    assert cli.refuses("compare", base, tuned, *QUICK, "--workers", "2").startswith("--workers 2 are workers on Ray.")
    assert "no address of Ray" in cli.refuses("compare", base, tuned, *QUICK, "--ray", "nearby")


def test_ray_has_to_be_installed(cli: CommandLine, base: Path, tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else found(name, *more))
    assert "pip install 'aftertune[ray]'" in cli.refuses("compare", base, tuned, *QUICK, "--ray", "local")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port at which something listens that never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_what_does_not_answer_is_told_soon(
    cli: CommandLine, base: Path, tuned: Path, prompts: Path, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(connection, "SECONDS_TO_ANSWER", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr("aftertune.study.measure._checked", lambda _: pytest.fail("something was read"))
    started, given = time.monotonic(), ("compare", base, tuned, *QUICK, "--prompts", prompts)
    told = cli.refuses(*given, "--ray", f"127.0.0.1:{port}")
    assert told.startswith(f"No Ray cluster answers at 127.0.0.1:{port}: Connection refused.")
    told = cli.refuses(*given, "--ray", f"127.0.0.1:{silent_port}")
    assert told.startswith(f"What listens at 127.0.0.1:{silent_port} does not answer as Ray does.")
    assert time.monotonic() - started < 30
