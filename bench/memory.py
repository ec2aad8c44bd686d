"""Can a pair of models be read that is larger than memory?  Shown under a limit that the kernel enforces.

1. Write a base and a tune of Llama's shape with random weights: bfloat16, in several files, together larger than the
   limit, and each in float32 larger still.
2. Each command in a process of its own, in a control group of its own below this process's (version 2 or 1) that is
   killed where it needs more than ``--limit``. Pages of mapped files are no need: the kernel takes them back.
3. ``--device disk`` beside the ordinary way, which has to fail. Print seconds, the peak of memory that can't be given
   back (anonymous pages), and that of the whole group. Files are read from the disk, not from the page cache.

Where no control group can be made (that takes root, or a group that was delegated) nothing is limited, and that is
said.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM
from wordfreq import top_n_list

from aftertune.demo import find_demo_base
from aftertune.models.checkpoint import read_tokenizer
from bench.shared import dated

GROUPS = Path("/sys/fs/cgroup")
LIMIT_FILES, PEAK_FILES = ("memory.max", "memory.limit_in_bytes"), ("memory.peak", "memory.max_usage_in_bytes")
SHAPE = {"hidden_size": 2048, "intermediate_size": 5632, "num_attention_heads": 32, "num_key_value_heads": 8}
N_WORDS, D_VECTOR = 3_000, 50
CHANGE = 0.05  # of a weight's own deviation
SIZES = """
import sys, aftertune
from aftertune.explainers.location.modules import places
from aftertune.explainers.location.sizes import sizes_of
base, tuned = (aftertune.load(one, device=sys.argv[3]) for one in sys.argv[1:3])
found = [sizes_of(*one.pair) for one in places(base, tuned)]
print(len(found), "weights,", sum(one["squared_change"] for one in found) ** 0.5)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=1.5, help="in GB")
    parser.add_argument("--layers", type=int, default=14)
    parser.add_argument("--read", default="0", help="the layers whose heads and concepts are read")
    parser.add_argument("--only", nargs="+", choices=["sizes", "heads", "concepts", "compare"])
    parser.add_argument("--devices", nargs="+", default=["cpu", "disk"], choices=["cpu", "disk"])
    parser.add_argument("--out", type=Path, default=dated("memory"))
    parser.add_argument("--keep", type=Path, help="a folder for the pair, made where it is not there")
    settings = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as folder:
        place = settings.keep or Path(folder)
        if not (place / "tuned" / "config.json").exists():
            make_pair(place, settings.layers)
        n_bytes = sum(file.stat().st_size for file in place.glob("*/*.safetensors"))
        found = {"limit": settings.limit * 1e9, "pair": n_bytes, "runs": []}
        for name, command in commands(place, Path(folder), settings).items():
            for device in settings.devices:
                forget(place)
                found["runs"].append({"name": name, "device": device} | measured(command(device), found["limit"]))
                settings.out.write_text(json.dumps(found, indent=1))
    show(found)


def make_pair(place: Path, n_layers: int) -> None:
    """Two checkpoints in bfloat16, with the demo's tokenizer, words and random vectors of them."""
    tokenizer = read_tokenizer(find_demo_base())
    config = LlamaConfig(vocab_size=len(tokenizer), num_hidden_layers=n_layers, tie_word_embeddings=False, **SHAPE)
    torch.manual_seed(0)
    model = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16)
    for name in ("base", "tuned"):
        model.save_pretrained(place / name, max_shard_size="500MB")
        tokenizer.save_pretrained(place / name)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(CHANGE * 0.02 * torch.randn_like(weight))
    words = [word for word in top_n_list("en", 2 * N_WORDS) if word.isalpha()][:N_WORDS]
    (place / "words.txt").write_text("\n".join(words))
    vectors = np.random.default_rng(0).standard_normal((len(words), D_VECTOR)).astype(np.float32)
    np.savez(place / "vectors.npz", words=np.array(words), vectors=vectors)


def forget(place: Path) -> None:
    """Let the kernel drop what it keeps of the files: pages count for the group that reads them first."""
    for file in place.glob("*/*.safetensors"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def commands(place: Path, folder: Path, settings: argparse.Namespace) -> dict:
    """The command of each measurement, for a device."""
    base, tuned = str(place / "base"), str(place / "tuned")
    words = ["--words", str(place / "words.txt")]
    read = [*words, "--layers", settings.read]
    vectors = ["--vectors", str(place / "vectors.npz")]
    run = lambda name, device: ["--device", device, "--run", str(folder / f"{name}-{device}")]  # noqa: E731
    ours = [sys.executable, "-m", "aftertune"]
    found = {
        "sizes": lambda device: [sys.executable, "-c", SIZES, base, tuned, device],
        "heads": lambda device: [*ours, "heads", base, *read, *vectors, *run("heads", device)],
        "concepts": lambda device: [*ours, "concepts", base, *read, *run("concepts", device)],
        "compare": lambda device: [
            *[*ours, "compare", base, tuned, "--only", "heads,concepts", *read, *vectors],
            *["--noise-models", "1", *run("compare", device)],
        ],
    }
    return {name: one for name, one in found.items() if not settings.only or name in settings.only}


def measured(command: list[str], limit: float) -> dict:
    """What became of a command: seconds, peaks in bytes, the last line that it wrote."""
    with control_group(limit) as group, tempfile.TemporaryFile("w+") as told:
        join = (lambda: (group / "cgroup.procs").write_text("0")) if group else None
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, preexec_fn=join)
        anonymous = 0
        try:
            while child.poll() is None:
                anonymous = max(anonymous, anonymous_bytes(child.pid))
                time.sleep(0.02)
        finally:  # whoever ends the bench ends what it started
            child.kill()
            child.wait()
        seconds = time.perf_counter() - started
        told.seek(0)
        lines = told.read().splitlines() or [""]
        peak = next((int((group / one).read_text()) for one in PEAK_FILES if group and (group / one).exists()), None)
    print(
        f"{child.returncode:>4} {seconds:6.1f} s  {anonymous / 1e9:.2f} GB  {' '.join(command)[:150]}\n     {lines[-1]}"
    )
    return {"status": child.returncode, "seconds": seconds, "anonymous": anonymous, "peak": peak, "said": lines[-1]}


def anonymous_bytes(process: int) -> int:
    """The memory of a process that can't be given back."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


@contextmanager
def control_group(limit: float) -> Iterator[Path | None]:
    """A control group with a limit of memory, below that of this process; None where none can be made."""
    group = _make_group()
    if group is None:
        print("No control group can be made here: nothing is limited.")
        yield None
        return
    try:
        for name in LIMIT_FILES:
            if (group / name).exists():
                (group / name).write_text(str(int(limit)))
        yield group
    finally:
        time.sleep(0.2)
        group.rmdir()


def _make_group() -> Path | None:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kinds, place = line.split(":", 2)
        if kinds in ("", "memory"):
            folder = GROUPS / kinds / place.lstrip("/") / "aftertune-bench"
            try:
                folder.mkdir(exist_ok=True)
            except OSError:
                continue
            if any((folder / name).exists() for name in LIMIT_FILES):
                return folder
            folder.rmdir()
    return None


def show(found: dict) -> None:
    """A row for each command and device."""
    title = f"A pair of {found['pair'] / 1e9:.1f} GB under a limit of {found['limit'] / 1e9:.1f} GB"
    table = Table("", "device", "", "seconds", "anonymous, GB", "group, GB", title=title, box=None)
    for one in found["runs"]:
        became = "done" if one["status"] == 0 else "killed" if one["status"] in (-9, 137) else f"status {one['status']}"
        peak = "-" if one["peak"] is None else f"{one['peak'] / 1e9:.2f}"
        numbers = (f"{one['seconds']:.0f}", f"{one['anonymous'] / 1e9:.2f}", peak)
        table.add_row(one["name"], one["device"], became, *numbers)
    Console().print(table)


if __name__ == "__main__":
    main()
