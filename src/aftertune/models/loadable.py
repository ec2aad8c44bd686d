"""Can a checkpoint be loaded?  All that is wrong with it, as far as that can be told without reading any weight.

1. It must be there, with a configuration of an architecture that can be read.
2. Its files of weights must be whole, and there must be a tokenizer.
3. Its adapter must be one that can be merged, and fit the configuration.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from aftertune.errors import CheckpointError
from aftertune.models.adapters.saved import must_fit_config, read_saved
from aftertune.models.adapters.tokenizer import adapter_tokenizer
from aftertune.models.architectures import text_config
from aftertune.models.description import Architecture, read_description
from aftertune.models.files.limits import must_have_layers
from aftertune.models.files.narrower import NARROW, must_be_able
from aftertune.models.files.reading import has_tokenizer, read_config, read_own_tokenizer
from aftertune.models.files.references import Source, find_checkpoint
from aftertune.models.files.weights import must_hold_weights
from aftertune.models.mapped.files import must_be_mappable
from aftertune.models.mapped.memory import ON_DISK
from aftertune.models.temporary_state import quiet


def must_be_loadable(
    ref: str | Path,
    adapter: str | Path | None = None,
    revision: str | None = None,
    *,
    tokenizer: str | Path | None = None,
    trust_remote_code: bool = False,
    architecture: Architecture | None = None,
    device: str = "auto",
    dtype: str = "float32",
) -> Any:
    """Raise one `CheckpointError` with all that `load` would raise and that can be told without reading any weight.

    If nothing is wrong, the configuration is returned, of a model with images or sound that of the part that reads
    text; None for a GGUF file, which takes seconds to parse.
    """
    described = None if architecture is None else read_description(architecture)
    source, config = find_checkpoint(str(ref), revision), None
    shared = {"trust_remote_code": trust_remote_code, "revision": revision}
    wrong: list[str] = []
    if not source.is_gguf:
        with quiet():
            config = _told(wrong, lambda: read_config(ref, source, shared, described)[0])
            _told(wrong, lambda: _must_have_tokenizer(ref, source, shared, tokenizer, adapter))
        if Path(source.place).is_dir():
            shapes = _told(wrong, lambda: must_hold_weights(Path(source.place), str(ref)))
            if config is not None and shapes:
                _told(wrong, lambda: must_have_layers(text_config(config), shapes, str(ref), source.remedy))
    if device == ON_DISK:
        _told(wrong, lambda: must_be_mappable(config, str(ref), source.is_gguf))
    if dtype in NARROW:
        held: dict[str, Any] = {"is_gguf": source.is_gguf, "adapter": adapter, "device": device}
        _told(wrong, lambda: must_be_able(dtype, config, str(ref), **held))
    if adapter is not None:
        config = _told(wrong, lambda: _must_merge(str(adapter), config, trust_remote_code))
    if wrong:
        raise_all(wrong)
    return None if config is None else text_config(config)


class SeveralMistakesError(CheckpointError):
    """Several things that are wrong with checkpoints, in one message; ``mistakes`` are the single ones."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        told = " ".join(f"({number}) {one}" for number, one in enumerate(mistakes, 1))
        super().__init__(f"{len(mistakes)} things have to be mended. {told}")
        self.mistakes = list(mistakes)


def mistakes_of(error: CheckpointError) -> list[str]:
    """The single mistakes that an error tells."""
    return error.mistakes if isinstance(error, SeveralMistakesError) else [str(error)]


def raise_all(wrong: Sequence[str]) -> NoReturn:
    """Raise one `CheckpointError` that says all of it, each once."""
    told = list(dict.fromkeys(wrong))
    raise CheckpointError(told[0]) if len(told) == 1 else SeveralMistakesError(told)


def _told(wrong: list[str], check: Callable[[], Any]) -> Any:
    try:
        return check()
    except CheckpointError as error:
        wrong.append(str(error))
        return None


def _must_have_tokenizer(
    ref: Any, source: Source, shared: dict[str, Any], spare: str | Path | None, adapter: str | Path | None
) -> None:
    if not has_tokenizer(source):
        if adapter is not None and adapter_tokenizer(str(adapter)) is not None:
            return
        read_own_tokenizer(ref, source, shared, spare)


def _must_merge(adapter: str, config: Any, trust_remote_code: bool) -> Any:
    """The configuration with an adapter merged in, as far as it is known."""
    saved = read_saved(adapter)
    if config is None:
        saved.must_be_whole()
        return None
    return must_fit_config(saved, config, trust_remote_code=trust_remote_code)
