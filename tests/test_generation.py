"""Greedy responses, batched, against a loop that takes the most probable token one by one."""

import pytest
import torch

import aftertune
from aftertune.models.generation import GREEDY, generate, respond, sample, stop_tokens
from tiny import DERIVED, FAMILIES, make_model, make_tokenizer

PROMPTS = [[5, 9, 30, 7], [41, 8], [3, 12, 77, 10, 11, 12, 13]]


def load(**changes: object) -> aftertune.Checkpoint:
    model = make_model("llama", torch.float64)
    for name, value in changes.items():
        setattr(model.generation_config, name, value)
    return aftertune.load(model, tokenizer=make_tokenizer())


def greedy(model: torch.nn.Module, prompt: list[int], n: int, stops: list[int]) -> tuple[int, ...]:
    ids = list(prompt)
    for _ in range(n):
        token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        if token in stops:
            break
        ids.append(token)
    return tuple(ids[len(prompt) :])


def test_a_batch_is_the_greedy_loop_of_each_prompt() -> None:
    checkpoint = load()
    assert generate(checkpoint, PROMPTS, 12) == [greedy(checkpoint.model, prompt, 12, [2]) for prompt in PROMPTS]


BEGINNING = [7, 8, 9, 10, 11, 12]


@pytest.mark.parametrize("family", [*FAMILIES, *DERIVED])
def test_what_prompts_begin_with_and_prompts_of_many_responses_are_read_once(family: str) -> None:
    """Greedy and sampled responses are those of a loop, and of each asked for alone, whatever is shared."""
    checkpoint = aftertune.load(make_model(family, torch.float64), tokenizer=make_tokenizer())
    prompts = [BEGINNING + prompt for prompt in (*PROMPTS, [4])]
    stops = stop_tokens(checkpoint)
    plain = [greedy(checkpoint.model, prompt, 4, stops) for prompt in prompts]
    found = respond(checkpoint, prompts, 4, [GREEDY, 0, 1, GREEDY])
    assert generate(checkpoint, prompts, 4) == found[0] == found[3] == plain
    assert found[1:3] == [sample(checkpoint, prompts, 4, seed) for seed in (0, 1)]


def test_sampled_tokens_come_as_often_as_their_probabilities_say() -> None:
    """Chi-squared of 4,000 first tokens, the rarest taken together: its mean is the number of groups less one."""
    checkpoint, n = load(), 4000
    with torch.no_grad():
        p = checkpoint.model(torch.tensor([PROMPTS[0]])).logits[0, -1].softmax(-1)
    drawn = respond(checkpoint, PROMPTS[:1] * n, 1, [5])[0]
    counts = torch.bincount(torch.tensor([one[0] if one else 2 for one in drawn]), minlength=len(p))
    order = p.argsort(descending=True)
    often = order[p[order] * n >= 10]
    seen, wanted = (torch.cat([one[often], one.sum()[None] - one[often].sum()]).double() for one in (counts, p * n))
    degrees = len(often)
    assert degrees > 10
    assert float(((seen - wanted).square() / wanted).sum()) < degrees + 4 * (2 * degrees) ** 0.5


def test_a_response_ends_before_any_stop_token() -> None:
    checkpoint = load()
    whole = generate(checkpoint, PROMPTS[:1], 12)[0]
    checkpoint.model.generation_config.eos_token_id = [2, whole[3]]
    assert stop_tokens(checkpoint) == [2, whole[3]]
    assert generate(checkpoint, PROMPTS[:1], 12)[0] == whole[: whole.index(whole[3])]


def test_what_the_checkpoint_says_of_sampling_is_not_applied() -> None:
    plain = generate(load(), PROMPTS, 10)
    changed = load(do_sample=True, temperature=9.0, repetition_penalty=5.0, min_new_tokens=8, no_repeat_ngram_size=1)
    settings = changed.model.generation_config
    assert generate(changed, PROMPTS, 10) == plain
    assert changed.model.generation_config is settings and settings.repetition_penalty == 5.0


def test_a_response_ends_where_the_context_is_full() -> None:
    checkpoint = load()
    prompt = [5 + n % 50 for n in range(125)]
    assert len(generate(checkpoint, [prompt], 50)[0]) <= 128 - 125


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_is_left_as_it_was(attention: str) -> None:
    checkpoint = load()
    checkpoint.model.set_attn_implementation(attention)
    generate(checkpoint, PROMPTS, 2)
    assert checkpoint.model.config._attn_implementation == attention
