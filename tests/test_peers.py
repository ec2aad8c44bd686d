"""The same importance as Inseq and Captum give, on a real model (float32), raw and with its chat template."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import aftertune
from aftertune.demo import find_demo_base

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

RAW = "Rewrite the text in plain words.\n\nInput: The vessel's departure has been deferred.\n\nOutput:"
TOLERANCE = 1e-3  # of float32 through 30 layers: 1.4e-4 was seen on a processor without AVX-512
RESPONSE = " The ship leaves later than planned, since the weather is bad."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    checkpoint = aftertune.load(find_demo_base())
    checkpoint.model.save_pretrained(folder)
    checkpoint.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> aftertune.Checkpoint:
    return aftertune.load(folder)


@pytest.fixture(scope="module", params=["raw", "chat"])
def case(request: pytest.FixtureRequest, checkpoint: aftertune.Checkpoint) -> tuple[str, aftertune.Attribution]:
    response = RESPONSE if request.param == "raw" else RESPONSE.strip()
    found = aftertune.attribute(checkpoint, RAW, response, method="gradient", route="forward", template=request.param)
    return found.text, found


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_inseq_gives_the_same(folder: Path, case: tuple[str, aftertune.Attribution]) -> None:
    import inseq

    prompt, ours = case
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    peer = inseq.load_model(model, "input_x_gradient", tokenizer=tokenizer)
    out = peer.attribute(prompt, prompt + ours.response, attributed_fn="probability", show_progress=False)
    theirs = out[0].target_attributions.sum(-1)[: len(ours.prompt_tokens)].numpy()
    assert relative(ours.importance, theirs) < TOLERANCE


def test_captum_gives_the_same(folder: Path, case: tuple[str, aftertune.Attribution]) -> None:
    from captum.attr import LayerGradientXActivation, LLMGradientAttribution, TextTokenInput

    prompt, ours = case
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    target = torch.tensor(tokenizer(prompt + ours.response).input_ids[len(ours.prompt_tokens) :])
    peer = LLMGradientAttribution(LayerGradientXActivation(model, model.get_input_embeddings()), tokenizer)
    found = peer.attribute(TextTokenInput(prompt, tokenizer), target=target)
    theirs = (found.token_attr * torch.from_numpy(ours.probability)[:, None]).T.numpy()
    assert relative(ours.importance, theirs) < TOLERANCE


def test_forward_and_reverse_agree_on_the_real_model(
    checkpoint: aftertune.Checkpoint, case: tuple[str, aftertune.Attribution]
) -> None:
    prompt, ours = case
    template = "chat" if "<|im_start|>" in prompt else "raw"
    reverse = aftertune.attribute(checkpoint, RAW, ours.response, method="gradient", route="reverse", template=template)
    assert relative(ours.importance, reverse.importance) < 1e-4
