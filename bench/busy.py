"""Beside other work: how much longer does an attribution take, and how much of that are threads that wait in a loop?

1. Processes that count without end, ``--busy`` of them, take a share of every core: with as many of our threads as
   there are cores, and as many such processes, the fair share is a half.
2. Removal at N = 20, M = 60 on SmolLM2-135M-Instruct, ours alone and beside them, in a process of its own for each way
   in which threads may wait: as the library has it, asleep (OMP_WAIT_POLICY=passive), and in a loop of a bounded length
   (GOMP_SPINCOUNT). Each in turn, ``--repeats`` times.
3. Seconds, seconds of processor, and both over what the library's way takes alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from bench.shared import dated, save_model

N_PROMPT, N_RESPONSE = 20, 60
WAYS = {
    "as it is": {},
    "asleep": {"OMP_WAIT_POLICY": "passive"},
    "loop of 1,000": {"GOMP_SPINCOUNT": "1000"},
    "loop of 10,000": {"GOMP_SPINCOUNT": "10000"},
}
CHILD = """
import sys, time, resource
import aftertune
from aftertune.prompts.prompt import Message, Prompt
checkpoint = aftertune.load(sys.argv[1], device="cpu")
response = checkpoint.tokenizer.decode(range(1000, 1000 + int(sys.argv[3])))
prompt = checkpoint.tokenizer.decode(range(3000, 3000 + int(sys.argv[2])))
aftertune.attribute(checkpoint, "warm up", " now", template="raw")
before, started = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), time.perf_counter()
aftertune.attribute(checkpoint, prompt, response, template="raw")
print(time.perf_counter() - started, sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - before)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, os.cpu_count() or 1])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=dated("busy"))
    settings = parser.parse_args()
    rows = []
    with TemporaryDirectory() as folder:
        save_model(Path(folder))
        for repeat in range(settings.repeats):
            for busy in settings.busy:
                for way, environment in WAYS.items():
                    seconds, processor = beside(folder, busy, environment)
                    rows.append(
                        {"repeat": repeat, "busy": busy, "way": way, "seconds": seconds, "processor": processor}
                    )
                    print(json.dumps(rows[-1]), flush=True)
                    settings.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    show(rows)


def beside(folder: str, busy: int, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds, and seconds of processor, of one attribution beside so many busy processes."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        time.sleep(0.5)
        command = [sys.executable, "-c", CHILD, folder, str(N_PROMPT), str(N_RESPONSE)]
        ended = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    finally:
        for one in others:
            one.kill()
            one.wait()
    seconds, processor = map(float, ended.stdout.split()[-2:])
    return seconds, processor


def show(rows: list[dict]) -> None:
    """Medians over the repeats."""
    alone = [row["seconds"] for row in rows if row["busy"] == 0 and row["way"] == "as it is"] or [float("nan")]
    table = Table("busy processes", "threads wait", "seconds", "of processor", "times alone", title="Beside other work")
    for busy, way in dict.fromkeys((row["busy"], row["way"]) for row in rows):
        own = [row for row in rows if (row["busy"], row["way"]) == (busy, way)]
        seconds, processor = (statistics.median(row[name] for row in own) for name in ("seconds", "processor"))
        ratio = seconds / statistics.median(alone)
        table.add_row(str(busy), way, f"{seconds:.1f}", f"{processor:.1f}", f"{ratio:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
