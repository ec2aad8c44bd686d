"""Open the label page of a run on this machine, until it is closed with Ctrl-C.

1. The run is looked through first, and a port is taken; whatever is wrong is told before a page is open.
2. The page is served on 127.0.0.1 (`server`); labels are on disk the moment they are given (`store`).
"""

import secrets
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

from aftertune.errors import AnnotationError
from aftertune.labelling.labels import RaterLabels
from aftertune.labelling.session import Session, must_be_rateable, read_run_prompts
from aftertune.labelling.store import local_file, must_be_named, read_rater
from aftertune.runs.parts import must_be_writable
from aftertune.runs.roles import roles_of
from aftertune.runs.run import RunFolder

HOST = "127.0.0.1"


def label(
    run: str | Path,
    rater: str = "rater",
    port: int = 0,
    browser: bool = True,
    tell: Callable[[str], None] = print,
) -> RaterLabels:
    """Serve the label page of a run for ``rater`` until Ctrl-C; returns all labels that the rater has given by then.

    ``port`` 0 takes a free one; ``browser`` opens the page; ``tell`` is called once, with the page's address.

    Raises `RunError` if there is no run, or it has no responses, or can't be written; `AnnotationError` for a name or
    a port that can't be used.
    """
    session = open_session(run, rater)
    with _listen(port) as listening:
        _serve(session, listening, browser, tell)
    return read_rater(session.run, session.rater)


def open_session(run: str | Path, rater: str) -> Session:
    """All that the page needs of a run; raises what `label` does."""
    folder, name = RunFolder.open(run), must_be_named(rater)
    must_be_writable(local_file(folder, name))
    must_be_rateable(folder)
    read_rater(folder, name)  # a damaged file is told now, not in the page
    return Session(folder, name, roles_of(folder), read_run_prompts(folder))


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise AnnotationError(
            f"Port {port} of {HOST} can't be used: {getattr(error, 'strerror', None) or error}. Give another --port, "
            "or leave it out to take a free one."
        ) from error
    return listening


def _serve(session: Session, listening: socket.socket, browser: bool, tell: Callable[[str], None]) -> None:
    import uvicorn

    from aftertune.labelling.server import make_app

    token = secrets.token_urlsafe(24)
    address = f"http://{HOST}:{listening.getsockname()[1]}/?token={token}"
    config = uvicorn.Config(make_app(session, token), log_level="warning", access_log=False, lifespan="off")
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    listening.listen()  # from here on the browser may come, even before the server is ready
    tell(address)
    if browser:
        webbrowser.open(address)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        return
