"""Checkpoints whose files hold codes instead of weights: told from the configuration, before anything is read.

To subtract codes, or to read them without their scales, gives numbers that mean nothing.
"""

import re
from collections.abc import Mapping
from typing import Any

from aftertune.errors import CheckpointError

DEQUANTISED_ON_LOAD = {"mxfp4"}  # transformers makes weights of these itself
ENDINGS = re.compile(
    r"[-_.](unsloth-bnb-4bit|bnb-[48]bit|gptq[^/]*|awq[^/]*|[48]bit|int[48][^/]*|fp8[^/]*|w[48]a(8|16)[^/]*)$", re.I
)


def must_have_plain_weights(config: Any, ref: str) -> None:
    """Raise `CheckpointError` for a checkpoint whose configuration says that its weights are quantised."""
    found = getattr(config, "quantization_config", None)
    if found is None:
        return
    about: Mapping[str, Any] = found if isinstance(found, Mapping) else found.to_dict()
    method = str(about.get("quant_method", "quantised"))
    if method in DEQUANTISED_ON_LOAD:
        return
    bits = next((f"{n} bit" for n in (4, 8) if about.get(f"load_in_{n}bit") or about.get("bits") == n), "")
    how = " ".join(one for one in (method, bits) if one)
    full = ENDINGS.sub("", ref)
    advice = f"such as {full}" if full != ref else "from which it was made"
    raise CheckpointError(
        f"The weights of {ref} are quantised ({how}): its files hold codes, which can't be compared as weights. Give "
        f"the checkpoint in full precision, {advice}, or dequantise it (model.dequantize()) and save it."
    )
