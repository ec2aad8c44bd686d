"""What reads files of users, and a valid sample of each: what the fuzzer changes and hands over."""

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.reliability.mutations import bytes_of, json_of
from bench.reliability.tiny_run import QUICK, save_models

ROWS = (
    {"id": "a", "prompt": "the cat sat", "instruction_spans": [[0, 3]], "response": "on the mat", "ratings": {"m": 3}},
    {"id": "b", "messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "the mat"}]},
)
CONVERSATIONS = (
    {"conversations": [{"from": "human", "value": "the cat"}, {"from": "gpt", "value": "sat"}]},
    {"instruction": "rewrite", "input": "the text", "output": "x"},
    {"messages": [{"role": "user", "content": "x", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
    {"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "rejected": "c"},
    {"message_tree_id": "t", "prompt": {"text": "a", "role": "prompter", "replies": [{"text": "b"}]}},
    {"instances": [{"input": "a", "output": "b"}], "instruction": "c"},
)
YAML = b"base: a/b\ntuned: [c/d]\nmax-new-tokens: 30\nskip: [heads]\nattribution: {route: auto}\nlimit: 3\n"
TEMPLATE = (
    b"{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}>{% endif %}"
)
LABELS = (
    {"at": "2026-01-01T00:00:00+00:00", "prompt": "p0", "role": "base", "helpfulness": 3},
    {"at": "2026-01-01T00:00:00+00:00", "prompt": "p0", "spans": [[0, 3, 0]]},
    {"at": "2026-01-01T00:00:00+00:00", "undo": True},
)
ANNOTATIONS = b"id,words,description,scenarios,level\n1,a b,about cats,,syntax\n"


@dataclass(frozen=True)
class Reader:
    """``samples`` with the file name of each, and what reads a file; ``change`` makes another of a sample."""

    samples: tuple[tuple[str, bytes], ...]
    read: Callable[[Path], object]
    change: Callable[[bytes, Random], bytes] = bytes_of


def readers(folder: Path) -> dict[str, Reader]:
    """All of them, by what they read; ``folder`` is for what they need (models, a run)."""
    save_models(folder)
    run = _run(folder)
    return {
        "prompts": Reader(_prompts(), _read_prompts),
        "prompts, by value": Reader((_lines("rows.jsonl", ROWS + CONVERSATIONS),), _read_prompts, _lines_changed),
        "words": Reader((("w.txt", b"the 3\ncat 2\n"), ("w.json", b'{"a": ["the cat", "sat"]}')), _read_words),
        "vectors": Reader((("v.txt", b"2 3\nthe 1 2 3\ncat 4 5 6\n"), ("v.vec", b"the 1 2\ncat 3 4\n")), _read_vectors),
        "arrays of vectors": Reader(_arrays(), _read_vectors),
        "weights": Reader((("w.safetensors", (folder / "base/model.safetensors").read_bytes()),), _read_weights),
        "GGUF": Reader((("m.gguf", _gguf(folder)),), _read_gguf),
        "configuration": Reader((("config.json", (folder / "base/config.json").read_bytes()),), _read_config(folder)),
        "configuration, by value": Reader(
            (("config.json", (folder / "base/config.json").read_bytes()),), _read_config(folder), _value_changed
        ),
        "settings": Reader((("s.yaml", YAML),), _read_settings),
        "description": Reader(
            (("d.json", b'{"name": "m", "projections": ["q", "k"]}'), ("d.yaml", b"name: m\n")), _describe
        ),
        "chat template": Reader((("t.jinja", TEMPLATE),), _read_template),
        "maps": Reader((("maps.parquet", _maps(folder)),), _read_maps),
        "labels": Reader((_lines("ann.jsonl", LABELS),), _read_labels(run)),
        "labels, by value": Reader((_lines("ann.jsonl", LABELS),), _read_labels(run), _lines_changed),
        "annotations": Reader((("a.csv", ANNOTATIONS),), _read_annotations),
        "records of a run": Reader(_records(run), _read_run(run), _record_changed),
    }


def _lines(name: str, rows: tuple[dict, ...]) -> tuple[str, bytes]:
    return name, "".join(json.dumps(row) + "\n" for row in rows).encode()


def _lines_changed(sample: bytes, random: Random) -> bytes:
    rows = json_of([json.loads(line) for line in sample.splitlines()], random)
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _value_changed(sample: bytes, random: Random) -> bytes:
    return json.dumps(json_of(json.loads(sample), random)).encode()


def _prompts() -> tuple[tuple[str, bytes], ...]:
    import polars as pl

    table = io.BytesIO()
    pl.DataFrame({"prompt": ["the cat", "sat"], "id": ["a", "b"]}).write_parquet(table)
    return (
        _lines("p.jsonl", ROWS),
        ("p.json", json.dumps([*CONVERSATIONS]).encode()),
        ("p.csv", b'id,prompt\na,"the cat, sat"\nb,mat\n'),
        ("p.parquet", table.getvalue()),
    )


def _read_prompts(file: Path) -> object:
    from aftertune.prompts.encoding import encode
    from aftertune.prompts.formats import read_prompts
    from tiny import make_tokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [encode(one, make_tokenizer(), "chat", one.response, None) for one in read_prompts(file)[:3]]


def _read_words(file: Path) -> object:
    from aftertune.explainers.heads.verbs import read_verbs
    from aftertune.words.vocabulary import load_words

    load_words(file)
    return read_verbs(str(file))


def _read_vectors(file: Path) -> object:
    from aftertune.words.vectors import load_vectors

    return load_vectors(file)


def _arrays() -> tuple[tuple[str, bytes], ...]:
    from safetensors.numpy import save

    packed = io.BytesIO()
    np.savez(packed, words=np.array(["the", "cat"]), vectors=np.ones((2, 3), np.float32))
    kept = save({"vectors": np.ones((2, 3), np.float32)}, {"words": '["the", "cat"]'})
    return ("v.npz", packed.getvalue()), ("v.safetensors", kept)


def _read_weights(file: Path) -> object:
    from aftertune.models.files.weights import must_be_whole

    return must_be_whole(file, file.name)


def _gguf(folder: Path) -> bytes:
    from gguf import GGUFWriter

    file = folder / "sample.gguf"
    writer = GGUFWriter(str(file), "llama")
    for add, value in ((writer.add_block_count, 1), (writer.add_embedding_length, 4), (writer.add_head_count, 1)):
        add(value)
    writer.add_token_list(["a", "b"])
    writer.add_tensor("token_embd.weight", np.ones((2, 4), np.float32))
    writer.add_tensor("blk.0.ffn_down.weight", np.ones((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file.read_bytes()


def _read_gguf(file: Path) -> object:
    from aftertune.models.files.limits import must_hold_its_layers
    from aftertune.models.size import size_of

    must_hold_its_layers(file, str(file), "")
    return size_of(file, None)


def _read_config(folder: Path) -> Callable[[Path], object]:
    def read(file: Path) -> object:
        from aftertune.models.loadable import must_be_loadable
        from aftertune.models.size import size_by_config

        (folder / "tuned" / "config.json").write_bytes(file.read_bytes())
        return size_by_config(must_be_loadable(folder / "tuned"))

    return read


def _read_settings(file: Path) -> object:
    from aftertune.cli.settings_file import read_settings
    from aftertune.study.study import Study

    return Study(**read_settings(file, {}))


def _describe(file: Path) -> object:
    from aftertune.models.description import read_description

    return read_description(file)


def _read_template(file: Path) -> object:
    from aftertune.prompts.prompt import Message, Prompt
    from aftertune.prompts.template_head import read_template_file
    from aftertune.prompts.templates import render
    from tiny import make_tokenizer

    tokenizer = make_tokenizer()
    tokenizer.chat_template = read_template_file(str(file))
    return render(Prompt("a", (Message("user", "the cat"),)), tokenizer, "chat")


def _maps(folder: Path) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from aftertune.explainers.attribution.map_file import SCHEMA

    row = {"id": "a", "dataset": "d", "model": "m", "prompt_tokens": ["x", "y"], "response_tokens": ["z"]}
    row |= {"n_prompt": 2, "n_response": 1, "levels": bytes([1, 2]), "prompt_offsets": [0, 1, 2, 3]}
    row |= {"prompt_text": "x y", "is_user": [True, True]}
    pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), folder / "maps.parquet")
    return (folder / "maps.parquet").read_bytes()


def _read_maps(file: Path) -> object:
    from aftertune.explainers.attribution.map_file import read_maps

    return read_maps(file)


def _read_labels(run: Path) -> Callable[[Path], object]:
    def read(file: Path) -> object:
        from aftertune.labelling.store import open_labels

        (run / "labels").mkdir(exist_ok=True)
        (run / "labels" / "ann.jsonl").write_bytes(file.read_bytes())
        try:
            return open_labels(run)
        finally:
            (run / "labels" / "ann.jsonl").unlink()

    return read


def _read_annotations(file: Path) -> object:
    from aftertune.explainers.annotation.people import _read, _read_rows

    return _read_rows(_read(file), {"1": [SimpleNamespace(place=dict)]})


def _run(folder: Path) -> Path:
    import aftertune

    given: dict[str, Any] = {"prompts": folder / "prompts.jsonl", "max_new_tokens": 3, "check": 0, "device": "cpu"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = aftertune.Study(folder / "base", folder / "tuned", run=folder / "run", only="attribution", **given)
        aftertune.compare(study)
    assert QUICK
    return folder / "run"


def _records(run: Path) -> tuple[tuple[str, bytes], ...]:
    return tuple((one.name, one.read_bytes()) for one in sorted(run.glob("*.json")) if one.name != "comparison.json")


def _record_changed(sample: bytes, random: Random) -> bytes:
    """A record with another value and the checksum that belongs to it: what a checksum alone would not show."""
    from aftertune.runs.identity import text_of

    told = json.loads(sample)
    found = json_of({"identity": told["identity"], "record": told["record"]}, random)
    if random.random() < 0.3 or not {"identity", "record"} <= found.keys():
        return bytes_of(sample, random)
    return text_of(found["identity"], found["record"]).encode("utf-8", "surrogatepass")


def _read_run(run: Path) -> Callable[[Path], object]:
    def read(file: Path) -> object:
        from aftertune.study.saved import open_comparison

        place = run / file.name
        before = place.read_bytes()
        place.write_bytes(file.read_bytes())
        try:
            return open_comparison(run)
        finally:
            place.write_bytes(before)

    return read
