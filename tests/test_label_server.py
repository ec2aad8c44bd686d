"""The label page over HTTP: who is let in, what is refused, what is kept; the real server until Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from aftertune.labelling.server import LARGEST_BODY, PAGES, make_app, read
from aftertune.labelling.store import FOLDER, read_rater
from aftertune.runs.run import RunFolder
from label_samples import save_run, session

HOME = "http://127.0.0.1:8000"
OWN = {"Origin": HOME}
NOTHING: dict[str, str] = {}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_run(tmp_path / "run")


@pytest.fixture
def stranger(run: Path) -> TestClient:
    return TestClient(make_app(session(run), "the-token"), base_url=HOME, follow_redirects=False)


@pytest.fixture
def page(stranger: TestClient) -> TestClient:
    assert stranger.get("/?token=the-token").status_code == 303
    return stranger


def test_nobody_is_let_in_without_the_token(stranger: TestClient) -> None:
    for path in (
        *(f"/{name}" for name in PAGES),
        "/prompts",
        "/prompts/0",
        "/?token=wrong",
        "/prompts?token=the-token",
    ):
        found = stranger.get(path)
        assert found.status_code == 403 and "set-cookie" not in found.headers and "birds" not in found.text
    assert stranger.post("/prompts/0/rate", json={"answer": 0, "helpfulness": 1}, headers=OWN).status_code == 403


def test_the_address_opens_again_as_long_as_the_server_runs(stranger: TestClient, run: Path) -> None:
    found = stranger.get("/?token=the-token")
    cookie = found.headers["set-cookie"]
    assert found.headers["location"] == "/" and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert stranger.get("/").status_code == 200
    assert stranger.get("/?token=the-token").headers["location"] == "/"  # the same browser may follow the link again
    stranger.cookies.clear()  # another browser, or one that was closed
    assert stranger.get("/").status_code == 403
    assert stranger.get("/?token=the-token").status_code == 303 and stranger.get("/prompts").status_code == 200
    anew = TestClient(make_app(session(run), "another"), base_url=HOME, follow_redirects=False)
    anew.cookies = stranger.cookies
    assert anew.get("/?token=the-token").status_code == 403


def test_another_host_is_refused(page: TestClient) -> None:
    for host, status in (("evil.example", 400), ("127.0.0.1.evil.example", 400), ("localhost:9", 403)):
        assert page.get("/prompts", headers={"Host": host}).status_code == status
    assert page.get("/prompts").status_code == 200


@pytest.mark.parametrize("origin", [NOTHING, {"Origin": "http://127.0.0.1:9"}, {"Origin": "null"}])
def test_only_the_page_itself_changes_labels(page: TestClient, run: Path, origin: dict[str, str]) -> None:
    found = page.post("/prompts/0/rate", json={"answer": 0, "helpfulness": 1}, headers=origin)
    assert found.status_code == 403 and not (run / FOLDER).exists()


def test_every_answer_forbids_what_the_page_does_not_need(page: TestClient) -> None:
    for path in ("/", "/label.js", "/prompts", "/nowhere"):
        headers = page.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert page.get("/label.js").headers["content-type"].startswith("text/javascript")


def test_pages_fetch_nothing_from_elsewhere() -> None:
    for name in PAGES.values():
        assert not re.search(r"https?://|//[a-z]+\.|@import|innerHTML|insertAdjacentHTML|eval\(", read(name)), name


def test_labels_are_kept_and_taken_back(page: TestClient, run: Path) -> None:
    def post(path: str, **body: Any) -> Any:
        found = page.post(path, json=body, headers=OWN)
        assert found.status_code == 200, found.text
        return found.json()

    assert [one["id"] for one in page.get("/prompts").json()["prompts"]] == ["birds", "emoji", "odd"]
    task = page.get("/prompts/1").json()
    assert task["messages"] == [{"role": "user", "text": "Say 😀 twice. Now."}] and task["given"] == [[0, 12, 0]]
    assert sorted(task["answers"]) == sorted(["no no no no no no", "😀 and once more: 😀 done"])
    post("/prompts/1/rate", answer=0, helpfulness=4)
    post("/prompts/1/mark", spans=[[4, 12, 0]])
    found = read_rater(RunFolder.open(run), "ann")
    assert list(found.ratings.values()) == [4] and found.spans == {"emoji": ((4, 12, 0),)}
    assert post("/undo", n_actions=2)["state"]["spans"] == []
    assert post("/prompts/1/rate", answer=0, helpfulness=None)["state"]["ratings"] == [None, None]


BAD = {
    "number": ("/prompts/0/rate", {"answer": 0, "helpfulness": 5}, "helpfulness: Input should be less than or equal"),
    "text": ("/prompts/0/rate", {"answer": 0, "helpfulness": "3"}, "helpfulness: Input should be a valid integer"),
    "half": ("/prompts/0/rate", {"answer": 0, "helpfulness": 2.5}, "helpfulness: "),
    "true": ("/prompts/0/rate", {"answer": True, "helpfulness": 2}, "answer: "),
    "missing": ("/prompts/0/rate", {"answer": 0}, "helpfulness: Field required"),
    "more": ("/prompts/0/rate", {"answer": 0, "helpfulness": 1, "role": "base"}, "role: Extra inputs"),
    "answer": ("/prompts/0/rate", {"answer": 2, "helpfulness": 1}, "There is no response 2"),
    "prompt": ("/prompts/3/rate", {"answer": 0, "helpfulness": 1}, "There is no prompt 3"),
    "span": ("/prompts/0/mark", {"spans": [[0, 99, 0]]}, "does not lie in the prompt"),
    "backwards": ("/prompts/0/mark", {"spans": [[5, 2, 0]]}, "does not lie in the prompt"),
    "message": ("/prompts/0/mark", {"spans": [[0, 4, 1]]}, "names message 1"),
    "pair": ("/prompts/0/mark", {"spans": [[0, 4]]}, "spans.0: "),
    "list": ("/prompts/0/mark", [], "the body: "),
    "undo": ("/undo", {"n_actions": 0}, "n_actions: "),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_nothing_kept(page: TestClient, run: Path, name: str) -> None:
    path, body, why = BAD[name]
    found = page.post(path, json=body, headers=OWN)
    assert found.status_code == 400 and why in found.json()["error"], found.text
    assert not (run / FOLDER).exists()


def test_what_is_no_json_or_too_much_of_it(page: TestClient) -> None:
    assert "the body: Invalid JSON" in page.post("/undo", content=b"{", headers=OWN).json()["error"]
    assert "bytes were sent" in page.post("/undo", content=b" " * (LARGEST_BODY + 1), headers=OWN).json()["error"]
    assert page.get("/prompts/x").status_code == page.get("/../run.json").status_code == 404
    assert page.get("/undo").status_code == 405


def test_a_disk_that_fails_is_told_as_the_servers_fault(page: TestClient, run: Path) -> None:
    (run / FOLDER).write_text("a file where the folder should be")
    found = page.post("/prompts/0/rate", json={"answer": 0, "helpfulness": 1}, headers=OWN)
    assert found.status_code == 500 and "could not be written" in found.json()["error"]


def test_the_command_serves_until_ctrl_c(run: Path) -> None:
    command = [sys.executable, "-m", "aftertune", "label", str(run), "--no-browser", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert server.stderr and server.stdout
        line = server.stderr.readline()
        address = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+/\?token=[\w-]{32})\n", line)
        assert address, line
        visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        with visitor.open(address[1], timeout=30) as page:
            assert page.status == 200 and "Aftertune" in page.read().decode()
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0 and server.stdout.read() == '{"responses": 0, "prompts": 0}\n'
    finally:
        server.kill()
        server.communicate()
