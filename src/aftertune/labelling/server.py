"""The label page's server: for one person on this machine, and for nobody else.

1. Only 127.0.0.1 is listened on, and only a request to that host is answered: a page elsewhere whose name is made to
   point here sends its own name.
2. The address carries a token that is good as long as the server runs, so the page can be opened again. It is exchanged
   for a cookie that scripts can't read and other sites don't send; without it nothing is answered, no file of the page
   either.
3. What changes labels must come from the page itself (Origin), since other servers on this machine share the cookie.
4. The page may load nothing from anywhere else, and nothing in it that a model or prompt wrote is ever code.
"""

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from aftertune.errors import AftertuneError, AnnotationError
from aftertune.labelling.session import Asked, Marked, Rated, Session, Undone
from aftertune.report.bundle import bundle

HOSTS = ("127.0.0.1", "localhost")
COOKIE = "aftertune-label"
LARGEST_BODY = 1_000_000
PAGES = {"": "label.html", "label.css": "label.css", "label.js": "label.js"}
TEMPLATES = Path(__file__).parent / "templates"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
CLOSED = "This is not the address of the page. Open the one that aftertune label printed when it was started last."

Given = TypeVar("Given", bound=Asked)
Next = Callable[[Request], Awaitable[Response]]


def make_app(session: Session, token: str) -> Starlette:
    """The application that serves ``session`` to whoever comes with ``token``."""

    async def overview(_: Request) -> Response:
        return JSONResponse(session.overview())

    async def task(request: Request) -> Response:
        return JSONResponse(session.task(_number(request, session)))

    async def rate(request: Request) -> Response:
        return JSONResponse(session.rate(_number(request, session), await _read(request, Rated)))

    async def mark(request: Request) -> Response:
        return JSONResponse(session.mark(_number(request, session), await _read(request, Marked)))

    async def undo(request: Request) -> Response:
        return JSONResponse(session.undo(await _read(request, Undone)))

    routes = [
        *(Route(f"/{path}", _file(name)) for path, name in PAGES.items()),
        Route("/prompts", overview),
        Route("/prompts/{number:int}", task),
        Route("/prompts/{number:int}/rate", rate, methods=["POST"]),
        Route("/prompts/{number:int}/mark", mark, methods=["POST"]),
        Route("/undo", undo, methods=["POST"]),
    ]
    guards = [
        Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        Middleware(BaseHTTPMiddleware, dispatch=_guard(token)),
    ]
    return Starlette(routes=routes, middleware=guards, exception_handlers={AftertuneError: _refuse})


def _guard(token: str) -> Callable[[Request, Next], Awaitable[Response]]:
    """Lets nobody in without the cookie, and gives the cookie to whoever has the token."""
    key = secrets.token_urlsafe(32)

    async def guard(request: Request, following: Next) -> Response:
        name = f"{COOKIE}-{request.url.port}"  # cookies know no port, and another run may be open beside this one
        given = request.query_params.get("token")
        if _same(request.cookies.get(name), key):
            if given is not None:
                return RedirectResponse("/", 303)
            return await following(request) if _is_own(request) else PlainTextResponse("Not from the page.", 403)
        if request.method == "GET" and request.url.path == "/" and _same(given, token):
            response = RedirectResponse("/", 303)
            response.set_cookie(name, key, httponly=True, samesite="strict")
            return response
        return PlainTextResponse(CLOSED, 403)

    async def guarded(request: Request, following: Next) -> Response:
        response = await guard(request, following)
        response.headers.update(HEADERS)
        return response

    return guarded


def _same(given: str | None, expected: str) -> bool:
    return given is not None and secrets.compare_digest(given.encode(), expected.encode())


def _is_own(request: Request) -> bool:
    return request.method == "GET" or request.headers.get("origin") == f"http://{request.headers['host']}"


def _number(request: Request, session: Session) -> int:
    number: int = request.path_params["number"]
    if number >= len(session.prompts):
        raise AnnotationError(f"There is no prompt {number}. The run has {len(session.prompts)}, from 0.")
    return number


async def _read(request: Request, form: type[Given]) -> Given:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise AnnotationError(f"More than {LARGEST_BODY:,} bytes were sent. An action is smaller.")
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise AnnotationError(f"This is no such action: {place}: {first['msg']}.") from None


def read(name: str) -> str:
    """A file of the page as it is sent: a script with all that it imports."""
    path = TEMPLATES / name
    return bundle([path]) if path.suffix == ".js" else path.read_text("utf-8")


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    content = read(name)

    async def send(_: Request) -> Response:
        return Response(content, media_type=TYPES[name[name.rindex(".") :]])

    return send


async def _refuse(_: Request, error: Any) -> Response:
    """400 for what was sent, 500 for what the disk or the run did: the page tries the latter again."""
    return JSONResponse({"error": str(error)}, 400 if isinstance(error, AnnotationError) else 500)
