"""Which prompt tokens does each response token depend on?  (Sections 4.1 and 4.2.)  What users call.

1. Encode the prompts; take the responses that were given, or generate them greedily.
2. Attribute them in batches of like length (`routes`).
3. Where wanted, hold the maps against replaced words, and against another removal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aftertune.errors import AttributionError, CheckpointError, PromptError
from aftertune.explainers.attribution.difference import AttributionDifference
from aftertune.explainers.attribution.importance.describe import respond, response_of
from aftertune.explainers.attribution.importance.routes import attribute_batch, checked
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.settings import Method, Removal, Route
from aftertune.explainers.attribution.units import UnitChoice
from aftertune.models.asked_template import put
from aftertune.models.generation import MAX_NEW_TOKENS, generate, must_leave_room
from aftertune.models.loaded import Checkpoint
from aftertune.prompts.encoding import EncodedPrompt, encode
from aftertune.prompts.prompt import Message, Prompt
from aftertune.prompts.template_head import Argument

if TYPE_CHECKING:
    from aftertune.models.served.model import ServedModel


def attribute(
    checkpoint: Checkpoint,
    prompt: str | Prompt,
    response: str | None = None,
    method: Method = "removal",
    unit: UnitChoice = "token",
    *,
    template: str = "auto",
    template_arg: Mapping[str, Argument] | None = None,
    removal: Removal = "mean",
    route: Route = "auto",
    removal_budget: float = 1.0,
    contrast_with: str | None = None,
    check: bool = False,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> Attribution:
    """Importance of each prompt unit to each response token (section 4.1).

    Without a ``response`` the model's own greedy one is used, up to ``max_new_tokens``. ``method`` is "removal" (Eq. 1
    itself: by how much p(y_m) falls), with ``removal`` "mean" (the embeddings of a unit's tokens are set to the mean of
    all tokens'), "deleted" (its tokens leave the sequence), "zeroed" (their embeddings are set to 0), "averaged" (the
    mean of the effects of deleted and mean, for twice the passes) or "mixed" (that of deleted, mean, zeroed and of five
    other tokens in its place, for eight times the passes, which predicts best what replacing a word does); "gradient",
    the paper's first order; or "locally-linear", the first order with norms, attention patterns and gates held constant
    (arXiv 2505.24293).
    ``route`` is that of the gradient: "forward", "reverse" (equal up to rounding), "forward-bfloat16" (products of
    tangents in bfloat16, for models of Llama's build in float32), or "auto", the cheaper of the first two. ``unit`` is
    "token", "word", "sentence", "line", or character ranges. ``template`` is "raw", "chat", "auto" (chat where the
    tokenizer has a chat template), "rendered" (the text was put in one already), or the file of a chat template, and
    ``template_arg`` what it is told by name. With ``check`` the result says how well it predicts what replacing words
    does, and how well it ranks units against removal (of removal: another kind).

    ``contrast_with`` is another response of as many tokens: importance is then that for p(y_m) - p(c_m), both after the
    same prompt and response so far (why this token, and not that one).

    A ``removal_budget`` below 1 is the share of the cost of removing every unit that may be spent on a prompt of 200
    units or more: groups of sentences are removed first, then the units of those that matter. Other units share their
    group's importance; the result's ``is_divided`` marks them.

    Raises `PromptError` for a prompt or response that is empty or too long, or a contrast of another length,
    `AttributionError` for a setting that is not known, a check of a contrast, or probabilities that overflow,
    `CheckpointError` where a response
    must be generated but never ends.
    """
    if contrast_with is not None:
        checkpoint, how = put(checkpoint, template, template_arg)
        item = _contrasted(checkpoint, _as_prompt(prompt), how, response, contrast_with, max_new_tokens)
        if check:
            raise AttributionError("A contrast can't be held against replaced words. Leave check or contrast_with out.")
        (own,) = attribute_batch(
            checkpoint, [item], method, unit, removal=removal, route=route, removal_budget=removal_budget
        )
        _must_be_finite(own, item.prompt)
        return own
    (found,) = attribute_all(
        checkpoint,
        [prompt],
        None if response is None else [response],
        method,
        unit,
        template=template,
        template_arg=template_arg,
        removal=removal,
        route=route,
        removal_budget=removal_budget,
        check=check,
        max_new_tokens=max_new_tokens,
    )
    return found


def attribute_all(
    checkpoint: Checkpoint,
    prompts: Sequence[str | Prompt],
    responses: Sequence[str] | None = None,
    method: Method = "removal",
    unit: UnitChoice = "token",
    *,
    template: str = "auto",
    template_arg: Mapping[str, Argument] | None = None,
    removal: Removal = "mean",
    route: Route = "auto",
    removal_budget: float = 1.0,
    check: bool = False,
    max_new_tokens: int = MAX_NEW_TOKENS,
    batch_size: int = 8,
) -> list[Attribution]:
    """`attribute` for several prompts, ``batch_size`` of like length at a time; results in the order of the prompts.

    ``responses`` gives one response a prompt. Raises what `attribute` raises, and `PromptError` where their number is
    not that of the prompts.
    """
    given = [_as_prompt(prompt) for prompt in prompts]
    texts = [prompt.response for prompt in given] if responses is None else list(responses)
    if len(texts) != len(given):
        raise PromptError(f"There are {len(texts)} responses to {len(given)} prompts. Give one response a prompt.")
    checkpoint, how = put(checkpoint, template, template_arg)
    encoded = [encode_for(checkpoint, one, how, text) for one, text in zip(given, texts, strict=True)]
    found: dict[int, Attribution] = {}
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].ids))
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        batch = _answer(checkpoint, [encoded[place] for place in places], max_new_tokens)
        results = attribute_batch(
            checkpoint, batch, method, unit, removal=removal, route=route, removal_budget=removal_budget
        )
        for place, item, result in zip(places, batch, results, strict=True):
            _must_be_finite(result, item.prompt)
            found[place] = checked(checkpoint, item, result, unit, method, removal) if check else result
    return [found[place] for place in range(len(encoded))]


def attribute_difference(
    base: Checkpoint,
    tuned: Checkpoint,
    prompt: str | Prompt,
    response: str | None = None,
    method: Method = "removal",
    unit: UnitChoice = "token",
    *,
    template: str = "auto",
    template_arg: Mapping[str, Argument] | None = None,
    removal: Removal = "mean",
    route: Route = "auto",
    removal_budget: float = 1.0,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> AttributionDifference:
    """On which prompt units does log p_tuned - log p_base of a response hang?

    Without a ``response`` the tuned model's own greedy one is read by both. Settings are those of `attribute`.

    Raises what `attribute` raises, and `CheckpointError` if the two read the prompt or the response as other tokens.
    """
    (tuned, how), (base, _) = put(tuned, template, template_arg), put(base, template, template_arg)
    given = _as_prompt(prompt)
    answered = _answered(tuned, given, how, response, max_new_tokens)
    read = encode_for(base, given, how, given.response if response is None else response)
    if read.ids.tolist() != answered.ids.tolist():
        raise CheckpointError(
            "The two checkpoints read the prompt as different tokens, so their maps can't be subtracted. "
            "Give checkpoints with the same tokenizer, or use the template 'raw'."
        )
    read = respond(read, response_of(answered).tolist())
    one, other = (
        attribute_batch(checkpoint, [item], method, unit, removal=removal, route=route, removal_budget=removal_budget)[
            0
        ]
        for checkpoint, item in ((base, read), (tuned, answered))
    )
    for each in (one, other):
        _must_be_finite(each, given)
    return AttributionDifference(one, other)


def _answered(
    checkpoint: Checkpoint, prompt: Prompt, template: str, response: str | None, max_new_tokens: int
) -> EncodedPrompt:
    """One prompt with the response that is given, that it carries, or that is the model's own."""
    text = prompt.response if response is None else response
    (found,) = _answer(checkpoint, [encode_for(checkpoint, prompt, template, text)], max_new_tokens)
    return found


def _contrasted(
    checkpoint: Checkpoint, prompt: Prompt, template: str, response: str | None, contrast: str, max_new_tokens: int
) -> EncodedPrompt:
    """The prompt with its response and the tokens that this is held against."""
    answered = _answered(checkpoint, prompt, template, response, max_new_tokens)
    other, n = response_of(encode_for(checkpoint, prompt, template, contrast)), len(response_of(answered))
    if len(other) != n:
        raise PromptError(
            f"The contrast has {len(other)} tokens and the response {n}: they are held against each other token by "
            "token. Give texts of as many tokens each."
        )
    return replace(answered, contrast_ids=other)


def _must_be_finite(found: Attribution, prompt: Prompt) -> None:
    if not found.is_finite:
        raise AttributionError(
            f"The probabilities of {found.provenance.name} in {found.provenance.dtype} overflow on prompt "
            f"{prompt.id!r}: some are NaN or infinite, so there is no map of it. Load the model in float32, or leave"
            " the prompt out."
        )


def _as_prompt(prompt: str | Prompt) -> Prompt:
    return prompt if isinstance(prompt, Prompt) else Prompt(id="prompt", messages=(Message("user", prompt),))


def _answer(checkpoint: Checkpoint, batch: Sequence[EncodedPrompt], max_new_tokens: int) -> list[EncodedPrompt]:
    """The batch with responses: those that are given, and the model's own greedy ones for the others."""
    silent = [item for item in batch if item.response_ids is None]
    own = iter(generate(checkpoint, [item.ids.tolist() for item in silent], max_new_tokens) if silent else ())
    answered = [item if item.response_ids is not None else respond(item, next(own)) for item in batch]
    if not all(len(response_of(item)) for item in answered):
        raise PromptError(
            "The response has no token: the model ended it at once. Give a response, or another prompt or template."
        )
    return answered


def encode_for(
    checkpoint: "Checkpoint | ServedModel", prompt: Prompt, template: str, response: str | None
) -> EncodedPrompt:
    """Token ids and spans of a prompt for this checkpoint; raises `PromptError` if it does not fit its context."""
    encoded = encode(prompt, checkpoint.tokenizer, template, response, checkpoint.context_length)
    if encoded.response_ids is None:
        must_leave_room(checkpoint.context_length, len(encoded.ids), f"Prompt {prompt.id!r}")
    return encoded
