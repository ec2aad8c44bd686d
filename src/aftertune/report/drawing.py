"""The process that draws: charts come in on standard input, pictures go out on standard output, one after another.

A chart is a line of JSON, ``to`` (svg, png, pdf), ``spec`` and ``how``. A picture is a line of JSON, its ``size`` in
bytes or the ``error``, and then the bytes. What draws (vl-convert) may end this process: that costs one picture.
"""

import json
import os
import sys

LONGEST_REASON = 200


def main() -> None:
    """Draw what comes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the renderer prints is no picture
    for line in sys.stdin.buffer:
        picture, error = _answer(line)
        about = {"size": len(picture)} | ({"error": error} if error else {})
        answers.write(json.dumps(about).encode() + b"\n" + picture)
        answers.flush()


def _answer(line: bytes) -> tuple[bytes, str]:
    """The picture, or why there is none."""
    try:
        return _draw(**json.loads(line)), ""
    except BaseException as error:  # a panic in Rust is none of the ordinary exceptions
        return b"", " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__


def _draw(to: str, spec: dict[str, object], how: dict[str, object]) -> bytes:
    import vl_convert

    drawn = getattr(vl_convert, f"vegalite_to_{to}")(spec, **how)
    return drawn.encode() if isinstance(drawn, str) else bytes(drawn)


if __name__ == "__main__":
    main()
