"""A server that has a real (tiny) model, in the words of llama.cpp's or of vLLM's, and fails as it is told to.

What it tells is computed by plain forward passes, one text at a time. Like llama.cpp's it passes over ``echo``, keeps
back what is part of a character, and breaks where a grammar asks for such a token.
"""

import json
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from fault_server import Body, Handler, serving

TOKEN = re.compile(r"<\[(\d+)\]>")


# What stands in the place of log probabilities: of those that are numbers, and can't be what they are said to be, too.
STRANGE: dict[str, Any] = {
    **{
        "NaN": float("nan"),
        "infinite": float("-inf"),
        "positive": 0.5,
        "a text": "-1.5",
        "a flag": False,
        "null": None,
    },
    **{"a list": [-1.5], "endless": 10**5000, "twice": -1.5},
}


def with_numbers(found: Any, number: Any) -> Any:
    """The same answer with another number for every log probability."""
    if isinstance(found, list):
        return [with_numbers(one, number) for one in found]
    if not isinstance(found, dict):
        return found
    changed = {name: with_numbers(one, number) for name, one in found.items()}
    if "logprob" in found:
        changed["logprob"] = number
    if "token_logprobs" in found:
        changed["token_logprobs"] = [number for _ in found["token_logprobs"]]
    return changed


@dataclass
class ModelServer:
    """``faults`` are met one after another, by one request each; after ``breaks_after`` answers there are only errors.

    ``lacks`` names places and abilities that it has not; ``told`` and ``properties`` are said of the model besides.
    ``asked`` and ``answered`` are bodies by place.
    """

    address: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    dialect: str = "llama.cpp"
    faults: Sequence[str] = ()
    lacks: Sequence[str] = ()
    models: Sequence[str] = ("tiny",)
    context: int = 128
    breaks_after: int | None = None
    told: Body = field(default_factory=dict)
    properties: Body = field(default_factory=dict)
    delay_seconds: float = 0.0
    asked: list[tuple[str, Body]] = field(default_factory=list)
    answered: list[tuple[str, Body]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_at_once: int = 0
    _now: int = 0
    _met: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    @property
    def read(self) -> list[Body]:
        """The bodies of the answered requests for log probabilities of given texts, but for the check at the start."""
        probed = [body for place, body in self.answered if place == "/v1/completions" and _is_reading(body)]
        return probed[1:]

    def next_fault(self, body: Body) -> str | None:
        """What goes wrong with a request: nothing does where none is read, or at the check at the start."""
        if not _is_reading(body):
            return None
        with self._lock:
            if self.breaks_after is not None and len(self.read) >= self.breaks_after:
                return "500"
            if not any(_is_reading(body) for _, body in self.answered):
                return None
            self._met += 1
        return self.faults[self._met - 1] if self._met <= len(self.faults) else None

    def bytes_of(self, id: int) -> bytes:
        """What a token stands for (byte level)."""
        letters, known = self.tokenizer.convert_ids_to_tokens(id), _bytes_of_letters()
        return bytes(known[one] for one in letters) if all(one in known for one in letters) else letters.encode()

    def log_p(self, ids: Sequence[int]) -> torch.Tensor:
        """log p (n, n_vocabulary) of what follows each place."""
        with torch.no_grad():
            return torch.log_softmax(self.model(torch.tensor([list(ids)])).logits[0].double(), -1)


@cache  # asked for each token
def _bytes_of_letters() -> dict[str, int]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _is_reading(body: Body) -> bool:
    return bool(body.get("grammar") or body.get("echo"))


def model_server(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, **behaviour: Any) -> Any:
    """A server with a model at an address of its own, while the block lasts."""
    return serving(ModelServer, ModelHandler, model=model, tokenizer=tokenizer, **behaviour)


class ModelHandler(Handler):
    @property
    def served(self) -> ModelServer:
        return self.server.fault  # type: ignore[attr-defined,no-any-return]

    def do_GET(self) -> None:  # noqa: N802
        served = self.served
        if self.path == "/v1/models":
            rows = [
                {"id": one, "object": "model", "created": 0, "owned_by": "us"} | served.told for one in served.models
            ]
            return self._send(200, {"object": "list", "data": rows})
        if self.path == "/props" and served.dialect == "llama.cpp":
            settings = {"n_ctx": served.context}
            template = served.tokenizer.chat_template
            texts = {"bos_token": "<s>", "eos_token": "</s>"}
            return self._send(
                200, {"default_generation_settings": settings, "chat_template": template} | texts | served.properties
            )
        return self._send(404, {"error": {"message": "Not Found"}})

    def do_POST(self) -> None:  # noqa: N802
        served, body = self.served, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with served._lock:
            served.asked.append((self.path, body))
            served.keys.add(str(self.headers["Authorization"]))
            served._now += self.path.startswith("/v1")
            served.most_at_once = max(served.most_at_once, served._now)
        try:
            self._reply(served, body)
        finally:
            with served._lock:
                served._now -= self.path.startswith("/v1")

    def _reply(self, served: ModelServer, body: Body) -> None:
        if self.path in served.lacks:
            return self._send(404, {"error": {"message": "Not Found"}})
        kind = served.next_fault(body)
        if kind not in (None, "no log probabilities", *STRANGE):
            return self._fail(str(kind), body)
        time.sleep(served.delay_seconds)
        words = LlamaWords(served) if served.dialect == "llama.cpp" else EchoWords(served)
        try:
            found = getattr(words, self.path.strip("/").replace("/", "_").replace("-", "_"))(body)
        except RuntimeError as error:
            return self._send(500, {"error": {"message": str(error)}})
        if kind == "no log probabilities" or "log probabilities" in served.lacks:
            for choice in found.get("choices", []):
                choice["logprobs"] = None
        if kind in STRANGE:
            found = with_numbers(found, STRANGE[kind])
            return self._send(200, found | ({"choices": found["choices"][:1] * 2} if kind == "twice" else {}))
        with served._lock:
            served.answered.append((self.path, body))
        return self._send(200, found)


@dataclass
class LlamaWords:
    served: ModelServer

    def tokenize(self, body: Body) -> Body:
        tokenizer = self.served.tokenizer
        ids = tokenizer(body["content"], add_special_tokens=False, split_special_tokens=not body["parse_special"])
        rows = [(id, self.served.bytes_of(id)) for id in ids["input_ids"]]
        return {"tokens": [{"id": id, "piece": _text_or_bytes(piece)} for id, piece in rows]}

    def detokenize(self, body: Body) -> Body:
        return {"content": b"".join(map(self.served.bytes_of, body["tokens"])).decode("utf-8", "replace")}

    def completion(self, body: Body) -> Body:
        ids, written = list(body["prompt"]), list[int]()
        while len(written) < body["n_predict"] and written[-1:] != [2]:
            written.append(int(self.served.log_p([*ids, *written])[-1].argmax()))
        return {"tokens": written, "stop_type": "eos" if written[-1:] == [2] else "limit"}

    def v1_completions(self, body: Body) -> Body:
        run = [int(id) for id in TOKEN.findall(body["grammar"])]
        choices = [self._choice(n, ids, run, body["logprobs"]) for n, ids in enumerate(body["prompt"])]
        return {"choices": choices[::-1]}  # in any order

    def _choice(self, index: int, prompt: list[int], run: list[int], n_likeliest: int) -> Body:
        rows = self.served.log_p([*prompt, *run])[len(prompt) - 1 : -1]
        content = [self._told(row, id, n_likeliest) for row, id in zip(rows, run, strict=True)]
        return {"index": index, "text": "", "logprobs": {"content": content}, "finish_reason": "length"}

    def _told(self, row: torch.Tensor, id: int, n_likeliest: int) -> Body:
        try:
            self.served.bytes_of(id).decode()
        except UnicodeDecodeError:
            raise RuntimeError("Unexpected empty grammar stack after accepting piece") from None
        order = row.argsort(descending=True)[: min(n_likeliest, 20 if n_likeliest < 10**5 else len(row))]
        likeliest = [{"id": int(one), "logprob": float(row[one])} for one in order]
        return {"id": id, "logprob": float(row[id]), "top_logprobs": likeliest}


@dataclass
class EchoWords:
    served: ModelServer

    def tokenize(self, body: Body) -> Body:
        tokenizer = self.served.tokenizer
        if "messages" in body:
            text = tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
            return {"tokens": tokenizer(text, add_special_tokens=False)["input_ids"]}
        ids = tokenizer(body["prompt"], add_special_tokens=body["add_special_tokens"])["input_ids"]
        return {"tokens": ids, "token_strs": tokenizer.convert_ids_to_tokens(ids)}

    def detokenize(self, body: Body) -> Body:
        return {"prompt": b"".join(map(self.served.bytes_of, body["tokens"])).decode("utf-8", "replace")}

    def v1_completions(self, body: Body) -> Body:
        if not body.get("echo"):
            written = LlamaWords(self.served).completion(body | {"n_predict": body["max_tokens"]})["tokens"]
            ended = written[-1:] == [2]
            text = self.detokenize({"tokens": written[: len(written) - ended]})["prompt"]
            told = {"tokens": [f"token_id:{id}" for id in written]}
            return {"choices": [{"index": 0, "text": text, "logprobs": told, "finish_reason": _finish(ended)}]}
        return {"choices": [self._echo(n, ids) for n, ids in enumerate(body["prompt"])]}

    def _echo(self, index: int, ids: list[int]) -> Body:
        rows = self.served.log_p(ids)
        numbers = [None, *(float(row[id]) for row, id in zip(rows[:-1], ids[1:], strict=True)), float(rows[-1].max())]
        tokens = [f"token_id:{id}" for id in [*ids, int(rows[-1].argmax())]]
        return {"index": index, "text": "", "logprobs": {"tokens": tokens, "token_logprobs": numbers}}


def _finish(ended: bool) -> str:
    return "stop" if ended else "length"


def _text_or_bytes(piece: bytes) -> str | list[int]:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)
