"""An OpenAI-compatible server that answers from a table and fails as it is told to, in a thread of this process."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
Answer = Callable[[str, str, Body], str]
STEPS = {
    "responds to": "description",
    "The tasks are": "tasks",
    "You are a linguist": "level",
    "sets the second model apart": "tuning",
}
STALL_SECONDS = 2.0
NESTED = b"[" * 200_000 + b"]" * 200_000
# Answers with status 200 that hold none, each as it is sent.
NO_ANSWERS = {
    "wrong json": b'{"id": "x", "choices": [',
    "no choices": b'{"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": []}',
    "choices null": b'{"choices": null}',
    "choices text": b'{"choices": "abc"}',
    "message null": b'{"choices": [{"message": null}]}',
    "no object": b"[1, 2]",
    "null": b"null",
    "nested": NESTED,
    "nested inside": b'{"choices": ' + NESTED + b"}",
    "no text": b"\xff\xfe\x00\x01",
}

# Answers that are too much, and errors.
ENDLESS: dict[str, Callable[[], tuple[int, bytes, dict[str, str]]]] = {
    "nested error": lambda: (400, NESTED, {}),
    "large": lambda: (200, b" " * 50_000_000, {}),
    "bomb": lambda: (200, packed_twice(200_000_000), {"Content-Encoding": "gzip, gzip"}),
}


def packed_twice(n_bytes: int) -> bytes:
    """So many zeros as a few hundred bytes."""
    return gzip.compress(gzip.compress(bytes(n_bytes), 1), 9)


def odd_envelope(kind: str, completion: Body) -> bytes:
    """A right answer in an envelope of which something is not as it should be."""
    choice, usage = completion["choices"][0], completion["usage"]
    message = choice["message"]
    text = message["content"]
    changes: dict[str, Callable[[], Any]] = {
        "content list": lambda: message.update(content=[{"type": "text", "text": text}, {"type": "image"}, None]),
        "content parsed": lambda: message.update(content=json.loads(text)),
        "usage text": lambda: usage.update(prompt_tokens="abc", completion_tokens=[1]),
        "usage list": lambda: completion.update(usage=[1]),
        "usage negative": lambda: usage.update(prompt_tokens=-5, completion_tokens=True),
        "reasons": lambda: choice.update(finish_reason={"a": 1}) or message.update(refusal=[], tool_calls="none"),
        "surrogates": lambda: message.update(content=text + "\udc00"),
    }
    changes.get(kind, lambda: None)()
    data = json.dumps(completion)
    if kind == "endless numbers":
        data = data.replace('"prompt_tokens": 100', f'"prompt_tokens": {"9" * 5000}').replace(": 7,", ": NaN,")
    return data.encode() if kind != "no utf-8" else data.replace('"x"', '"\xff"').encode("latin-1")


def step_of(body: Body) -> str:
    """Which step a request belongs to, told by its system message."""
    system = body["messages"][0]["content"]
    return next(step for text, step in STEPS.items() if text in system)


def about_of(body: Body) -> str:
    """The words, or the description, that a request asks about."""
    text = str(body["messages"][-1]["content"])
    return text.removeprefix("Words: ").removeprefix("Concept: Words are ").removesuffix(".")


def plain_answer(step: str, about: str, _: Body) -> str:
    """The right JSON: a concept is called after its first word, and what begins with "odd" can't be told."""
    if step == "description":
        first = about.split(",")[0]
        return json.dumps({"description": "Cannot Tell" if first.startswith("odd") else f"things like {first}"})
    if step == "tuning":
        return json.dumps({"tuning": "speaks like a pirate"})
    return json.dumps({"tasks": ["coding", "daily writing"]} if step == "tasks" else {"level": "syntax"})


@dataclass
class FaultServer:
    """What the server does and did. Each different request meets ``faults`` one after another before it is answered.

    ``seen`` has the body and header of every request with its time, ``answered`` the bodies of those answered.
    ``rejects`` says for a parameter why a request with it is a bad one; of models other than ``models`` none is known.
    """

    address: str
    answer: Answer = plain_answer
    faults: Sequence[str] = ()
    rejects_format: bool = False
    rejects: Mapping[str, str] = field(default_factory=dict)
    models: Sequence[str] | None = None
    odd: str = ""
    delay_seconds: float = 0.0
    seen: list[tuple[float, Body, dict[str, str]]] = field(default_factory=list)
    answered: list[Body] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0
    _tries: dict[str, int] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def next_fault(self, body: Body, headers: dict[str, str]) -> str | None:
        with self._lock:
            self.seen.append((time.monotonic(), body, headers))
            key = json.dumps(body["messages"]) + str(body.get("temperature")) + str(len(self.faults))
            number = self._tries.get(key, 0)
            self._tries[key] = number + 1
        return self.faults[number] if number < len(self.faults) else None

    @contextmanager
    def busy(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            time.sleep(self.delay_seconds)
            yield
        finally:
            with self._lock:
                self._now -= 1

    def completion(self, body: Body) -> Body:
        message: Body = {"role": "assistant", "content": self.answer(step_of(body), about_of(body), body)}
        if message["content"] == "REFUSE":
            message = {"role": "assistant", "content": None, "refusal": "I will not say."}
        finish = "length" if str(message["content"]).startswith("CUT") else "stop"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
        base = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"]}
        return base | {"choices": [choice], "usage": usage}


@contextmanager
def fault_server(**behaviour: Any) -> Iterator[FaultServer]:
    """A server at an address of its own, while the block lasts."""
    with serving(FaultServer, Handler, **behaviour) as served:
        yield served


@contextmanager
def serving(kind: type[Any], handler: type[BaseHTTPRequestHandler], **behaviour: Any) -> Iterator[Any]:
    """A server of a kind, which knows its address and ``behaviour``, while the block lasts."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.daemon_threads = True
    httpd.fault = kind(f"http://127.0.0.1:{httpd.server_port}/v1", **behaviour)  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield httpd.fault  # type: ignore[attr-defined]
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the receipt of its head

    def do_GET(self) -> None:
        fault: FaultServer = self.server.fault  # type: ignore[attr-defined]
        if self.path != "/v1/models" or fault.models is None:
            return self._send(404, {"error": {"message": "Not Found"}})
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "us"} for name in fault.models]
        return self._send(200, {"object": "list", "data": listed})

    def do_POST(self) -> None:
        fault: FaultServer = self.server.fault  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if (refused := self._refused(fault, body)) is not None:
            return self._send(*refused)
        kind = fault.next_fault(body, {name.lower(): value for name, value in self.headers.items()})
        if kind is not None:
            return self._fail(kind, body)
        with fault.busy():
            completion = fault.completion(body)
        with fault._lock:
            fault.answered.append(body)
        data = odd_envelope(fault.odd, completion)
        return self._write(200, data, len(data))

    def _refused(self, fault: FaultServer, body: Body) -> tuple[int, Body] | None:
        if self.path != "/v1/chat/completions":
            return 404, {"detail": "Not Found"}  # not in OpenAI's form, as servers made with FastAPI answer
        if fault.models is not None and body["model"] not in fault.models:
            return 404, {"error": {"message": "no such model"}}
        format_ = {"response_format": "response_format is not supported"} if fault.rejects_format else {}
        for name, message in {**fault.rejects, **format_}.items():
            if name in body:
                with fault._lock:
                    headers = {key.lower(): value for key, value in self.headers.items()}
                    fault.seen.append((time.monotonic(), body, headers))
                return 400, {"error": {"message": message, "code": "bad"}}
        return None

    def _fail(self, kind: str, body: Body) -> None:
        if kind in NO_ANSWERS:
            return self._write(200, NO_ANSWERS[kind], len(NO_ANSWERS[kind]))
        if kind in ENDLESS:
            status, data, headers = ENDLESS[kind]()
            return self._write(status, data, len(data), headers)
        return self._fail_at_once(kind, body)

    def _fail_at_once(self, kind: str, body: Body) -> None:
        if kind == "429":
            self._send(429, {"error": {"message": "too many"}}, {"Retry-After": "1"})
        elif kind in ("401", "500", "503"):
            self._send(int(kind), {"error": {"message": f"no, {self.headers['Authorization']}"}})
        elif kind == "400":
            self._send(400, {"error": {"message": f"bad, {self.headers['Authorization']}"}})
        elif kind == "blocked":
            self._send(400, {"error": {"message": "blocked", "code": "content_filter"}})
        elif kind == "half":
            self._write(200, json.dumps(body).encode()[:40], 400)
            self.close_connection = True
        elif kind == "cut":
            self.close_connection = True
        elif kind == "time-out":
            time.sleep(STALL_SECONDS)
            self.close_connection = True

    def _send(self, status: int, content: Body, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self._write(status, data, len(data), headers)

    def _write(self, status: int, data: bytes, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(length),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # who asked may have read enough
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass
