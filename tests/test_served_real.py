"""A real llama.cpp server with SmolLM2: what it tells of a given response is what its weights give here."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import aftertune
from aftertune.demo import find_demo_base
from aftertune.explainers.attribution.attribute import encode_for
from aftertune.explainers.attribution.importance.describe import respond
from aftertune.explainers.attribution.importance.routes import attribute_batch
from aftertune.models.served.model import served_model
from aftertune.prompts.prompt import Message, Prompt

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp (llama.cpp's server) is not installed"),
]
SERVE = """
import sys, xllamacpp
given = xllamacpp.CommonParams()
given.model.path, given.port, given.n_ctx, given.n_parallel = sys.argv[1], 0, 512, 1
given.cpuparams.n_threads = given.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(given)
print("listening", server.listening_address, flush=True)
sys.stdin.read()
"""
ASKED = Prompt(id="fruits", messages=(Message("user", "List three fruits."),))


@contextmanager
def llama_cpp(model: Path) -> Iterator[str]:
    """The address of a server with ``model``, in a process of its own that ends with the block."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(model)], text=True, **pipes)  # type: ignore[call-overload]
    try:
        told = next(line.split()[1] for line in process.stdout if line.startswith("listening"))
        yield f"{told}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_the_maps_of_a_real_server_follow_those_of_its_weights() -> None:
    here = aftertune.load(find_demo_base())
    item = encode_for(here, ASKED, "chat", None)
    with llama_cpp(find_demo_base()) as address, served_model(aftertune.Subject("", server=address), 1) as model:
        read = encode_for(model, ASKED, "chat", None)
        assert read.ids.tolist() == item.ids.tolist() and read.tokens == item.tokens
        assert read.offsets.tolist() == item.offsets.tolist() and read.is_user.tolist() == item.is_user.tolist()
        ids = model.respond(item.ids.tolist(), 4)
        parts = here.tokenizer(" 日", add_special_tokens=False)["input_ids"]
        assert len(parts) == 3, "parts of a character, which no grammar takes"
        ids = [*ids, *parts]
        places = np.flatnonzero(item.is_user)
        texts = [np.delete(item.ids, place).tolist() for place in places]
        p = np.exp(model.log_p([item.ids.tolist(), *texts], ids))
    (expected,) = attribute_batch(here, [respond(item, ids)], removal="deleted")
    # The server multiplies in 8-bit integers, we in float32: the same weights, not the same rounding.
    assert np.abs(p[0] - expected.probability).max() < 0.15
    assert spearmanr((p[0] - p[1:]).ravel(), expected.importance[places].ravel()).statistic > 0.8
