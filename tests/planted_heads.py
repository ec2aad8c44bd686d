"""A Llama whose heads connect word pairs that were written into its weights by hand, and how to write more of them."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import aftertune
from aftertune.words import Vectors, Words, load_vectors, load_words

TOPICS = {
    "animal": ("dog", "cat", "horse", "sheep"),
    "metal": ("iron", "copper", "silver", "gold"),
    "write": ("write", "poem", "letter", "essay"),
    "explain": ("explain", "theory", "lecture", "proof"),
    "list": ("list", "table", "items", "index"),
}
FILLERS = tuple(f"filler{number}" for number in range(40))
WORDS = tuple(word for topic in TOPICS.values() for word in topic) + FILLERS
N_LAYERS, N_HEADS, N_KEY_HEADS, D_HEAD = 4, 4, 2, 4
D_MODEL = len(WORDS)


def tokenizer() -> PreTrainedTokenizerFast:
    """Each word is one token."""
    core = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate((*WORDS, "<unk>"))}, unk_token="<unk>")
    )
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


def blank_model() -> LlamaForCausalLM:
    """Each word's embedding is a direction of its own, and no neuron reads any of them yet."""
    config = LlamaConfig(
        vocab_size=len(WORDS) + 1,
        hidden_size=D_MODEL,
        intermediate_size=8,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=N_HEADS,
        num_key_value_heads=N_KEY_HEADS,
        head_dim=D_HEAD,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    model.model.embed_tokens.weight.copy_(torch.eye(len(WORDS) + 1, D_MODEL))
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.zero_()
        layer.self_attn.k_proj.weight.zero_()
    return model


def plant(
    model: LlamaForCausalLM, layer: int, head: int, neuron: int, query: str, key: str, strength: float = 1
) -> None:
    """Let neuron pair ``neuron`` of a head connect the query word with the key word."""
    attention = model.model.layers[layer].self_attn
    key_head = head // (N_HEADS // N_KEY_HEADS)
    attention.q_proj.weight[head * D_HEAD + neuron, WORDS.index(query)] = strength
    attention.k_proj.weight[key_head * D_HEAD + neuron, WORDS.index(key)] = strength


def checkpoint(model: LlamaForCausalLM, name: str) -> aftertune.Checkpoint:
    model.config.name_or_path = name
    return aftertune.load(model, tokenizer=tokenizer())


def words() -> Words:
    return load_words(WORDS)


def vectors() -> Vectors:
    """Words of one topic lie close together, all others apart."""
    axes = torch.eye(len(TOPICS) + len(FILLERS))
    found = {}
    for number, topic in enumerate(TOPICS.values()):
        for place, word in enumerate(topic):
            found[word] = axes[number] + 0.1 * (place + 1) * axes[(number + 1) % len(TOPICS)]
    found |= {word: axes[len(TOPICS) + number] for number, word in enumerate(FILLERS)}
    return load_vectors((tuple(found), torch.stack(list(found.values())).numpy()))
