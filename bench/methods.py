"""One method on one input in a process of its own: seconds, peak memory, and its importance matrix.

A method that is named a part runs only a share of its work; its seconds are those of the share, over the share.

python -m bench.methods METHOD MODEL_FOLDER INPUT.json OUT.npy
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.peak import peak_mib

Matrix = np.ndarray
Call = Callable[[], Matrix]
N_PART = 3
N_COLUMNS = 32  # of reverse mode, in whole chunks


def ours(unit: str = "token", **way: str) -> Callable[[str, str, str], Call]:
    def run(folder: str, prompt: str, response: str) -> Call:
        import aftertune

        checkpoint = aftertune.load(folder, device="cpu")
        return lambda: aftertune.attribute(checkpoint, prompt, response, unit=unit, template="raw", **way).importance

    return run


def reverse_part(folder: str, prompt: str, response: str) -> Call:
    """Reverse mode for some response tokens, spread evenly; each costs what any other does."""
    import aftertune
    from aftertune.explainers.attribution.importance.batch import Task, make_batch
    from aftertune.explainers.attribution.importance.reverse import reverse_importance
    from aftertune.explainers.attribution.importance.routes import attention_for
    from aftertune.models.backbone import Backbone
    from aftertune.models.temporary_state import borrowed

    checkpoint = aftertune.load(folder, device="cpu")
    n_prompt, ids = (len(checkpoint.tokenizer(prompt).input_ids), checkpoint.tokenizer(prompt + response).input_ids)
    task = Task(tuple(ids[:n_prompt]), tuple(ids[n_prompt:]), tuple((place,) for place in range(n_prompt)))
    some = torch.linspace(0, len(ids) - n_prompt - 1, N_COLUMNS).long()

    def call() -> Matrix:
        with borrowed(checkpoint.model, attention=attention_for("reverse", checkpoint)):
            batch = make_batch(Backbone(checkpoint), [task])
            batch = replace(batch, targets=batch.targets[:, some], places=batch.places[:, some])
            return reverse_importance(Backbone(checkpoint), batch)[0][0].numpy()

    return call


def inseq(method: str) -> Callable[[str, str, str], Call]:
    def run(folder: str, prompt: str, response: str) -> Call:
        import inseq as peer

        model, tokenizer = _read(folder)
        wrapped = peer.load_model(model, method, tokenizer=tokenizer)
        n_prompt = len(tokenizer(prompt).input_ids)

        def call() -> Matrix:
            out = wrapped.attribute(prompt, prompt + response, attributed_fn="probability", show_progress=False)
            found = out[0].target_attributions
            return (found if found.ndim == 2 else found.sum(-1))[:n_prompt].numpy()

        return call

    return run


def inseq_occlusion_part(folder: str, prompt: str, response: str) -> Call:
    """Occlusion for a few response tokens, spread evenly: each step takes longer than the one before it."""
    import inseq as peer

    model, tokenizer = _read(folder)
    wrapped = peer.load_model(model, "occlusion", tokenizer=tokenizer)
    n_prompt, n = (len(tokenizer(text).input_ids) for text in (prompt, prompt + response))
    places = [n_prompt + int((index + 0.5) * (n - n_prompt) / N_PART) for index in range(N_PART)]

    def step(place: int) -> Matrix:
        span = {"attr_pos_start": place, "attr_pos_end": place + 1}
        out = wrapped.attribute(prompt, prompt + response, attributed_fn="probability", show_progress=False, **span)
        return out[0].target_attributions[:n_prompt, -1].numpy()

    return lambda: np.stack([step(place) for place in places], axis=1)


def captum_ablation(n_features: int | None = None) -> Callable[[str, str, str], Call]:
    """Feature ablation of all prompt tokens, or of those with the first ``n_features`` ids that stand there once."""

    def run(folder: str, prompt: str, response: str) -> Call:
        from captum.attr import FeatureAblation, LLMAttribution, TextTokenInput

        model, tokenizer = _read(folder)
        ids = tokenizer(prompt).input_ids
        target = torch.tensor(tokenizer(prompt + response).input_ids)[len(ids) :]
        kept = [one for one in ids if ids.count(one) == 1][:n_features] if n_features else ids
        given = TextTokenInput(prompt, tokenizer, skip_tokens=[one for one in set(ids) if one not in kept])
        explainer = LLMAttribution(FeatureAblation(model), tokenizer)
        return lambda: explainer.attribute(given, target=target).token_attr.T.numpy()

    return run


def deletion(folder: str, prompt: str, response: str) -> Call:
    """A pass over the whole text without each token, one after the other, as one would write it."""
    model, tokenizer = _read(folder)
    ids = torch.tensor(tokenizer(prompt + response).input_ids)
    n_prompt = len(tokenizer(prompt).input_ids)

    def p(kept: torch.Tensor) -> torch.Tensor:
        logits = model(kept[None]).logits[0, -len(ids) + n_prompt - 1 : -1]
        return logits.softmax(-1).gather(1, ids[n_prompt:, None])[:, 0]

    def call() -> Matrix:
        with torch.no_grad():
            whole = p(ids)
            return torch.stack([whole - p(torch.cat([ids[:n], ids[n + 1 :]])) for n in range(n_prompt)]).numpy()

    return call


def captum(folder: str, prompt: str, response: str) -> Call:
    from captum.attr import LayerGradientXActivation, LLMGradientAttribution, TextTokenInput

    model, tokenizer = _read(folder)
    n_prompt = len(tokenizer(prompt).input_ids)
    ids = torch.tensor(tokenizer(prompt + response).input_ids)
    target = ids[n_prompt:]
    explainer = LLMGradientAttribution(LayerGradientXActivation(model, model.get_input_embeddings()), tokenizer)

    def call() -> Matrix:
        found = explainer.attribute(TextTokenInput(prompt, tokenizer), target=target)
        with torch.no_grad():
            p = model(ids[None]).logits[0, n_prompt - 1 : -1].softmax(-1).gather(1, target[:, None])
        return (found.token_attr * p).T.numpy()  # Captum differentiates the log-probability; p makes it our dp

    return call


def loop(frozen: bool) -> Callable[[str, str, str], Call]:
    """One pass forward, then one backward pass for each response token, as one would write it."""

    def run(folder: str, prompt: str, response: str) -> Call:
        model, tokenizer = _read(folder)
        model.requires_grad_(not frozen)
        ids = torch.tensor(tokenizer(prompt + response).input_ids)
        n_prompt = len(tokenizer(prompt).input_ids)

        def call() -> Matrix:
            embeds = model.get_input_embeddings()(ids[None]).detach().requires_grad_()
            logits = model(inputs_embeds=embeds).logits[0, n_prompt - 1 : -1]
            p = logits.softmax(-1).gather(1, ids[n_prompt:, None])[:, 0]
            columns = []
            for one in p:
                embeds.grad = None
                one.backward(retain_graph=True)
                columns.append((embeds.grad * embeds.detach())[0, :n_prompt].sum(-1))
            return torch.stack(columns, 1).numpy()

        return call

    return run


def exact(folder: str, prompt: str, response: str) -> Call:
    """Forward mode of `torch.func` in float64, on the model with plain attention: what errors are taken from."""
    model, tokenizer = _read(folder)
    model = model.double()
    model.set_attn_implementation("eager")
    ids = torch.tensor(tokenizer(prompt + response).input_ids)
    n_prompt = len(tokenizer(prompt).input_ids)
    embeds = model.get_input_embeddings()(ids).detach()

    def p(given: torch.Tensor) -> torch.Tensor:
        states = model.model(inputs_embeds=given[None], use_cache=False)[0][0, n_prompt - 1 : -1]
        return model.lm_head(states).softmax(-1).gather(1, ids[n_prompt:, None])[:, 0]

    def row(place: int) -> torch.Tensor:
        tangent = torch.zeros_like(embeds)
        tangent[place] = embeds[place]
        return torch.func.jvp(p, (embeds,), (tangent,))[1]

    def call() -> Matrix:
        with torch.no_grad():
            return torch.stack([row(place) for place in range(n_prompt)]).numpy()

    return call


def _read(folder: str):
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


# What share of their work some run: of response tokens, and of passes (one of them with the whole prompt).
PARTS: dict[str, Callable[[dict], float]] = {
    "reverse, part": lambda given: N_COLUMNS / given["n_response"],
    "inseq, occlusion, part": lambda given: N_PART / given["n_response"],
    "captum, ablation, part": lambda given: N_PART / (given["n_prompt"] + 1),
}
# What each method's numbers are held against; others are measures of their own.
REFERENCES = dict.fromkeys(["removal"], "deletion") | dict.fromkeys(
    ["forward", "forward, words", "forward-bfloat16", "reverse", "loop", "loop, weights frozen", "inseq", "captum"],
    "float64",
)
METHODS = {
    "deletion": deletion,
    "removal": ours(method="removal", removal="deleted"),
    "locally-linear": ours(method="locally-linear"),
    "inseq, occlusion": inseq("occlusion"),
    "inseq, occlusion, part": inseq_occlusion_part,
    "captum, ablation": captum_ablation(),
    "captum, ablation, part": captum_ablation(N_PART - 1),  # beside the pass with nothing ablated
    "forward": ours(method="gradient", route="forward"),
    "forward, words": ours("word", method="gradient", route="forward"),
    "forward-bfloat16": ours(method="gradient", route="forward-bfloat16"),
    "reverse": ours(method="gradient", route="reverse"),
    "reverse, part": reverse_part,
    "loop": loop(frozen=False),
    "loop, weights frozen": loop(frozen=True),
    "inseq": inseq("input_x_gradient"),
    "captum": captum,
    "float64": exact,
}


def main() -> None:
    name, folder, task, out = sys.argv[1:]
    warnings.simplefilter("ignore")
    given = json.loads(Path(task).read_text(encoding="utf-8"))
    call = METHODS[name](folder, given["prompt"], given["response"])
    before = peak_mib()
    started = time.perf_counter()
    importance = call()
    seconds = time.perf_counter() - started
    np.save(out, importance)
    share = PARTS[name](given) if name in PARTS else 1.0
    found = {"seconds": seconds / share, "share": share, "peak_mib": peak_mib(), "before_mib": before}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
