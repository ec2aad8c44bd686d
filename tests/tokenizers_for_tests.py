"""Tiny tokenizers of every kind that open models use, built in memory: no file, no network."""

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRIPPING = CHATML.replace("m.content", "m.content | trim")
PIECES = ("he", "hel", "hello", "wo", "wor", "worl", "world", "the", "in", "ou", "re", ":)")


def byte_level(template: str | None = CHATML, trim: bool = False) -> PreTrainedTokenizerFast:
    """Like GPT-2 and SmolLM: bytes as letters, no token added; with ``trim`` offsets leave out a leading space."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "hello"), ("Ċ", "Ċ"), (":", ")"), ("Ġ", "ð")]
    core = Tokenizer(models.BPE(_vocabulary(alphabet, merges), merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    if trim:
        core.post_processor = processors.ByteLevel(trim_offsets=True)
    core.add_special_tokens([AddedToken(name, special=True) for name in ("<|im_start|>", "<|im_end|>")])
    return _wrap(core, template)


def sentencepiece(scheme: str = "first", template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """Unigram with word-boundary marks; adds <s> before a text."""
    letters = "abcdefghijklmnopqrstuvwxyz .:!,|<>_/)ABCIO中文\n"
    names = ["▁", *letters.replace(" ", ""), *PIECES, *("▁" + piece for piece in PIECES)]
    pieces = [("<unk>", -20.0), ("<s>", 0.0), ("</s>", 0.0), *((name, -10.0 / len(name)) for name in names)]
    core = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    core.decoder = decoders.Metaspace(prepend_scheme=scheme)
    core.add_special_tokens([AddedToken(name, special=True) for name in ("<|im_start|>", "<|im_end|>")])
    _add_around(core, "<s> $A")
    return _wrap(core, template, **SPECIAL)


def byte_fallback(template: str | None = None, around: str = "<s> $A </s>") -> PreTrainedTokenizerFast:
    """Like LLaMA: BPE with word-boundary marks, characters that it lacks as bytes; adds <s> before and </s> after."""
    merges = [
        ("▁", "h"),
        ("▁h", "e"),
        ("l", "l"),
        ("h", "e"),
        ("he", "ll"),
        ("hell", "o"),
        ("▁he", "ll"),
        ("▁hell", "o"),
    ]
    letters = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        *"abcdefghijklmnopqrstuvwxyz.:</>",
    ]
    core = Tokenizer(
        models.BPE(_vocabulary(letters, merges), merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    _add_around(core, around)
    return _wrap(core, template, **SPECIAL)


def word_level(form: str | None = None) -> PreTrainedTokenizerFast:
    """Whole words, unknown ones as <unk>; ``form`` is NFC or NFKC."""
    words = ["<unk>", "hello", "world", "café", "file", "the", ",", "<s>", "</s>"]
    core = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if form:
        core.normalizer = getattr(normalizers, form)()
    return _wrap(core, None, **SPECIAL)


def _vocabulary(letters: list[str], merges: list[tuple[str, str]]) -> dict[str, int]:
    names = dict.fromkeys([*letters, *("".join(pair) for pair in merges)])
    return {name: index for index, name in enumerate(names)}


def _add_around(core: Tokenizer, template: str) -> None:
    ids = [(name, core.token_to_id(name)) for name in ("<s>", "</s>")]
    core.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)


def _wrap(core: Tokenizer, template: str | None, **special: str) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **special)
    tokenizer.chat_template = template
    return tokenizer
