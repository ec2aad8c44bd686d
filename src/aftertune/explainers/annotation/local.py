"""A chat model that is loaded here, for those without a server: small ones are weak annotators, and slow.

Greedy at temperature 0; at temperature 1 sampled with the repeat as seed, so that the same answer comes again.
"""

from typing import Any

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.request import TOP_P, ChatModel, Messages, Reply, Request
from aftertune.explainers.annotation.result import folder_name
from aftertune.models import Checkpoint, load
from aftertune.models.generation import generate, must_leave_room, stop_tokens

# A model of this size is slow, and a longer answer than this is no answer to our questions.
MAX_NEW_TOKENS = 64


def load_chat_model(ref: str) -> ChatModel:
    """The chat model ``ref`` (what `aftertune.load` takes).

    Raises `CheckpointError` if it can't be loaded, `AnnotationError` if its tokenizer has no chat template.
    """
    checkpoint = load(ref)
    name = checkpoint.provenance.name
    if not checkpoint.tokenizer.chat_template:
        raise AnnotationError(f"{name} has no chat template, so it can't be asked. Give a chat model.")
    return ChatModel(
        name=folder_name(f"local {name}"),
        model=f"local:{name}@{checkpoint.provenance.fingerprint}",
        about=lambda: {"kind": "local", "weak": True},
        ask=lambda request, messages: _ask(checkpoint, request, messages),
        concurrency=1,
    )


def _ask(checkpoint: Checkpoint, request: Request, messages: Messages) -> Reply:
    ids = _encode(checkpoint.tokenizer, messages)
    must_leave_room(checkpoint.context_length, len(ids), f"The question about {', '.join(request.about)[:40]}")
    found = (
        _sample(checkpoint, ids, request.repeat) if request.repeat else generate(checkpoint, [ids], MAX_NEW_TOKENS)[0]
    )
    text = str(checkpoint.tokenizer.decode(found, skip_special_tokens=True))
    finish = "length" if len(found) == MAX_NEW_TOKENS else "stop"
    return Reply(text, finish, None, len(ids), len(found))


def _encode(tokenizer: Any, messages: Messages) -> list[int]:
    try:
        return _apply(tokenizer, messages)
    except Exception as error:  # templates raise what they like; many take no system message, then the user says it
        system, first, *others = messages
        if system["role"] != "system" or first["role"] != "user":
            raise AnnotationError(f"The model's chat template can't be filled in: {error}.") from error
        said = f"{system['content']}\n\n{first['content']}"
        return _apply(tokenizer, [{"role": "user", "content": said}, *others])


def _apply(tokenizer: Any, messages: Messages) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _sample(checkpoint: Checkpoint, ids: list[int], seed: int) -> tuple[int, ...]:
    import torch

    model: Any = checkpoint.model
    stops = stop_tokens(checkpoint)
    given = torch.tensor([ids], device=model.device)
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.inference_mode():
        torch.manual_seed(seed)
        output = model.generate(
            input_ids=given,
            attention_mask=torch.ones_like(given),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=TOP_P,
            repetition_penalty=1.0,
            max_new_tokens=MAX_NEW_TOKENS,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )
    found = output[0, len(ids) :].tolist()
    return tuple(found[: next((place for place, token in enumerate(found) if token in stops), len(found))])
