"""How large may an answer be?  Read at most so far, also where it was sent packed, whatever its header says."""

from collections.abc import Iterable
from typing import Any

import openai

MOST_REDIRECTS = 5
# What holds of an answer as it was sent, and not of what was read of it.
AS_SENT = ("content-encoding", "content-length", "transfer-encoding")


class BoundedClient(openai.DefaultHttpxClient):
    """The client of the openai package, which reads no answer further than one byte beyond ``largest``."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.largest = largest

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request and read the answer; raises what the client raises."""
        response = self._opened(request, options | {"stream": True, "follow_redirects": False})
        try:
            content = _first(response.iter_bytes(), self.largest + 1)
        finally:
            response.close()
        headers = [(name, value) for name, value in response.headers.items() if name.lower() not in AS_SENT]
        return type(response)(response.status_code, headers=headers, content=content, request=response.request)

    def _opened(self, request: Any, options: dict[str, Any]) -> Any:
        response = super().send(request, **options)
        for _ in range(MOST_REDIRECTS):
            if response.next_request is None:
                break
            response.close()
            response = super().send(response.next_request, **options)
        return response


def _first(chunks: Iterable[bytes], most: int) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk[: most - len(content)]
        if len(content) == most:
            break
    return bytes(content)
