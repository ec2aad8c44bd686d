"""A pair of models of a shape, with random weights, built where it is measured and never saved.

1. The base from its configuration, by a seed. Output embeddings are made larger than a new model's, so that
   probabilities differ as much as those of a trained one.
2. The tuned model: the base's copy with a change of rank 8, of a hundredth of its norm, in every projection.
3. A tokenizer of as many tokens, learned from English words: nothing is downloaded.
4. All in float32 first, so that every precision is of the same numbers; later both are cast to bfloat16.
"""

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import wordfreq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from aftertune.models.architectures import find_description
from aftertune.models.fingerprint import versions
from aftertune.models.loaded import Checkpoint, rule_of
from aftertune.models.size import ModelSize, size_by_config
from aftertune.models.temporary_state import quiet
from aftertune.runs.provenance import Provenance

SEED, SHARPER, RANK, CHANGE = 0, 4.0, 8, 0.01
SPECIAL = ("<s>", "</s>")


@dataclass(frozen=True)
class Shape:
    """A configuration, and how much is measured with it.

    ``n_prompt`` and ``n_response`` are N and M of attribution, ``n_new`` tokens are generated, ``n_layers_read`` layers
    read of heads and concepts, ``most_words`` of the vocabulary; ``fewer`` are settings of explainers, by their names.
    """

    config: dict[str, Any]
    n_prompt: int
    n_response: int
    n_new: int
    n_layers_read: int
    repeats: int
    most_words: int | None = None
    fewer: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def size(self) -> ModelSize:
        return size_by_config(LlamaConfig(**self.config))


SHAPES = {
    "llama-2-7b": Shape(
        config={
            **{"hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32},
            **{"vocab_size": 32_000, "max_position_embeddings": 4096},
        },
        n_prompt=50,
        n_response=300,
        n_new=48,
        n_layers_read=2,
        repeats=3,
    ),
    "tiny": Shape(
        config={
            **{"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4},
            **{"vocab_size": 600, "max_position_embeddings": 512},
        },
        n_prompt=12,
        n_response=20,
        n_new=4,
        n_layers_read=1,
        repeats=1,
        most_words=300,
        fewer={
            "outputs": {"noise_draws": 1, "n_samples": 1, "answer_tokens": 4},
            "location": {"swaps": 2, "texts": 2, "answer_tokens": 3},
            "heads": {"n_frequent": 100, "n_top": 20, "n_pairs": 20},
            "concepts": {"n_components": 20},
        },
    ),
}


class Pair:
    """Both models, each built when it is asked for; ``cast`` makes them bfloat16 for good."""

    def __init__(self, shape: Shape, device: str) -> None:
        self.shape, self.device, self._dtype = shape, device, torch.float32
        self.tokenizer = make_tokenizer(shape.config["vocab_size"])

    @cached_property
    def base(self) -> Checkpoint:
        return self._checkpoint(build(self.shape, self.device), "base")

    @cached_property
    def tuned(self) -> Checkpoint:
        if self._dtype != torch.float32:
            raise RuntimeError("The tuned model is made of the base in float32.")
        return self._checkpoint(tune(self.base.model), "tuned")

    def cast(self) -> None:
        """Make both bfloat16, weight by weight; rotary positions stay in float32, as they are when such a model is
        loaded.
        """
        if self._dtype == torch.bfloat16:
            return
        tuned, base = self.tuned, self.base
        self._dtype = torch.bfloat16
        for name, one in (("base", base), ("tuned", tuned)):
            for weight in one.model.parameters():
                weight.data = weight.data.to(torch.bfloat16)
            self.__dict__[name] = self._checkpoint(one.model, name)
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def _checkpoint(self, model: PreTrainedModel, name: str) -> Checkpoint:
        """As `aftertune.load` makes one, without reading every weight for a fingerprint."""
        about = {"revision": None, "adapter": None, "architecture": model.config.model_type, "versions": versions()}
        n = sum(weight.numel() for weight in model.parameters())
        places = {"dtype": str(model.dtype).removeprefix("torch."), "device": str(model.device)}
        provenance = Provenance(name=name, n_parameters=n, fingerprint=f"random {name}", **places, **about)
        return Checkpoint(model, self.tokenizer, provenance, find_description(model.config), rule_of(model.config))


def build(shape: Shape, device: str) -> PreTrainedModel:
    config = LlamaConfig(**shape.config, bos_token_id=0, eos_token_id=1)
    with torch.random.fork_rng(), torch.device(device), quiet():
        torch.manual_seed(SEED)
        model = LlamaForCausalLM(config).eval().requires_grad_(False)
    with torch.no_grad():
        model.lm_head.weight.mul_(SHARPER)
    return model


@torch.no_grad()
def tune(model: PreTrainedModel) -> PreTrainedModel:
    tuned = copy.deepcopy(model)
    generator = torch.Generator(model.device).manual_seed(SEED + 1)
    for name, weight in tuned.named_parameters():
        if ".layers." in name and weight.ndim == 2:
            one, other = (
                torch.randn(*shape, generator=generator, device=weight.device)
                for shape in ((len(weight), RANK), (RANK, weight.shape[1]))
            )
            change = one @ other
            weight.add_(change, alpha=float(CHANGE * weight.norm() / change.norm()))
    return tuned


def make_tokenizer(n_tokens: int) -> PreTrainedTokenizerFast:
    """Byte-level pairs, learned from the most frequent English words."""
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    how = {"special_tokens": list(SPECIAL), "initial_alphabet": alphabet, "show_progress": False}
    words = wordfreq.top_n_list("en", max(1000, 2 * n_tokens))
    found.train_from_iterator((f" {word}" for word in words), trainers.BpeTrainer(vocab_size=n_tokens, **how))
    return PreTrainedTokenizerFast(tokenizer_object=found, bos_token=SPECIAL[0], eos_token=SPECIAL[1])
