"""Runs that people can label, made without any model: prompts and responses that a test chooses, planted importance."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aftertune.explainers.attribution.result import Attribution
from aftertune.labelling.label import open_session
from aftertune.labelling.session import Session
from aftertune.prompts.instruction import instruction_spans, mark_tokens
from aftertune.prompts.prompt import Message, Prompt, to_record
from aftertune.runs.provenance import Provenance
from aftertune.runs.run import RunFolder

TOKEN = re.compile(r"\s*\S+")
PROMPTS = (
    Prompt("birds", (Message("user", "Name three birds. Be brief.\n\nInput: none"),), "demo"),
    Prompt("emoji", (Message("user", "Say 😀 twice. Now."),), "demo", spans=((0, 12, 0),), ratings={"tuned": 2}),
    Prompt("odd", (Message("user", "<script>alert(1)</script> a\u202eb"),), "demo"),
)
ANSWERS = {
    "base": ["Name three birds. Name three birds.", "no no no no no no", "<b>bold</b> one two three four"],
    "tuned": ["A robin, an owl, and a wren.", "😀 and once more: 😀 done", "five words are in here"],
}


def save_run(folder: Path, prompts: Sequence[Prompt] = PROMPTS, answers: Mapping[str, Sequence[str]] = ANSWERS) -> Path:
    """A run of prompts without a template, whose roles gave these answers, one for each prompt."""
    identity = {role: {"checkpoint": role} for role in answers}
    run = RunFolder.start(folder, identity | {"settings": {"dtype": "float32"}}, {"aftertune": "0"})
    models = {role: provenance(role) for role in answers}
    for role, about in models.items():
        run.claim(f"{role}.json", {"fingerprint": about.fingerprint}, about.to_dict())
    run.claim("attribution.json", {"route": "auto", "removal": "zeroed", "template": "raw"}, {})
    for role, texts in answers.items():
        for prompt, text in zip(prompts, texts, strict=True):
            found = attribution(prompt, text, models[role])
            row = {"id": prompt.id, "dataset": prompt.dataset, **found.to_row()}
            run.write(run.part("attribution", role, prompt.id), row)
    run.claim("prompts.json", {}, {"tokens": {}, "prompts": [to_record(prompt) for prompt in prompts]})
    return folder


def attribution(prompt: Prompt, response: str, about: Provenance) -> Attribution:
    """Importance of words, different for every model and prompt."""
    text, words = prompt.text, TOKEN.findall(response)
    offsets = np.array([match.span() for match in TOKEN.finditer(text)], dtype=np.int64)
    seed = sum(map(ord, prompt.id + about.name))
    importance = np.random.default_rng(seed).random((len(offsets), len(words))).astype(np.float32)
    spans = [(start, end) for start, end, _ in instruction_spans(prompt)]
    return Attribution(
        importance=importance,
        probability=np.full(len(words), 0.5, dtype=np.float32),
        prompt_tokens=tuple(text[start:end] for start, end in offsets),
        response_tokens=tuple(words),
        text=text,
        response=response,
        offsets=offsets,
        is_user=np.ones(len(offsets), dtype=np.bool_),
        is_instruction=mark_tokens(text, offsets, spans),
        unit="token",
        route="forward",
        provenance=about,
    )


def provenance(role: str) -> Provenance:
    plain = Provenance(role, None, None, "LlamaForCausalLM", 1, "float32", "cpu", "", {})
    return replace(plain, fingerprint=role)


def session(run: Path, rater: str = "ann") -> Session:
    return open_session(run, rater)


def many_prompts(n: int) -> tuple[list[Prompt], dict[str, list[str]]]:
    """``n`` prompts with their answers, for tests that ask for statistics."""
    prompts = [Prompt(f"p{index}", (Message("user", "Do this. With that here."),), "demo") for index in range(n)]
    return prompts, {role: ["one two three four five six"] * n for role in ("base", "tuned")}
