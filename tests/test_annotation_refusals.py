"""Servers that take less than is sent: found out once, remembered, told; and advice where nothing can come."""

import socket
from pathlib import Path

import httpx2
import openai
import openai._base_client
import pytest

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.request import MAX_TOKENS, Request
from aftertune.explainers.annotation.result import recall_annotations
from aftertune.explainers.annotation.server import (
    MAX_TOKENS_WITH_THINKING,
    parameters,
    refused_parameter,
)
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.models.served import connection
from aftertune.models.served.connection import what_was_said
from aftertune.runs.run import RunFolder
from aftertune.study.annotate import annotate
from annotation_samples import save_concepts
from fault_server import fault_server

ONE_BY_ONE = AnnotationSettings(repeats=2, concurrency=1)
# What OpenAI's newest models say, word for word.
NEWEST = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
    "instead.",
    "temperature": "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is "
    "supported.",
    "top_p": "Unsupported parameter: 'top_p' is not supported with this model.",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(connection, "BROKEN_DELAY_SECONDS", 0.01)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_concepts(tmp_path / "run", {"model": [[["red", "blue"], ["run", "walk"]]]})


def refusal(body: object) -> openai.APIStatusError:
    """What the openai package makes of a server's refusal."""
    client = openai.OpenAI(base_url="http://host/v1", api_key="none")
    asked = httpx2.Request("POST", "http://host/v1/chat/completions")
    return client._make_status_error_from_response(httpx2.Response(400, request=asked, json=body))


def bad_request(message: str, param: str | None = None) -> openai.APIStatusError:
    return refusal({"error": {"message": message, "param": param}})


def test_what_the_newest_models_refuse_is_found_out_once_and_told(run: Path) -> None:
    with fault_server(rejects=NEWEST) as served:
        found = annotate(run, served.address, "m", ONE_BY_ONE)
        n_seen = len(served.seen)
        assert (n_seen, len(served.answered)) == (4 + 4 + 3, 8), "one request more for each of the three"
        for body in served.answered:
            assert body.keys() == {"model", "messages", "max_completion_tokens", "response_format"}
            assert body["max_completion_tokens"] == MAX_TOKENS_WITH_THINKING > MAX_TOKENS
        annotate(run, served.address, "m", ONE_BY_ONE)
        assert len(served.seen) == n_seen
    assert found["description"].null_count() == 0
    about = recall_annotations(RunFolder.open(run))
    assert about and about["annotator"]["left_out"] == ["max_tokens", "temperature", "top_p"], (
        "also when none was asked"
    )


def test_many_requests_at_a_time_find_out_together(run: Path) -> None:
    with fault_server(rejects=NEWEST, delay_seconds=0.05) as served:
        found = annotate(run, served.address, "m", AnnotationSettings(repeats=4))
        assert len(served.answered) == 8 + 4
    assert found["level"].null_count() == 0


def test_of_two_that_exclude_each_other_top_p_is_left_out(run: Path) -> None:
    message = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    with fault_server(rejects={"top_p": message}) as served:
        annotate(run, served.address, "m", ONE_BY_ONE)
        assert all("temperature" in body and "top_p" not in body for body in served.answered)


@pytest.mark.parametrize(
    ("message", "param", "refused"),
    [
        (NEWEST["max_tokens"], "max_tokens", "max_tokens"),
        (NEWEST["temperature"], "temperature", "temperature"),
        ("top_p and temperature: unsupported", "temperature", "temperature"),
        ("Unrecognized request argument supplied: top_p", None, "top_p"),
        ("[{'loc': ('body', 'response_format'), 'msg': 'Extra inputs are not permitted'}]", None, "response_format"),
        ("max_tokens is too large: 1000", None, "response_format"),  # no refusal of the parameter itself
        ("bad", None, "response_format"),
    ],
)
def test_the_error_says_what_is_refused(message: str, param: str | None, refused: str) -> None:
    assert refused_parameter(bad_request(message, param), parameters(Request("level", ("x",)), ())) == refused


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "no\nsuch model"}}, "Error code: 400 - no such model"),
        ({"detail": "Not Found"}, "Error code: 400 - Not Found"),
        ({"detail": [{"loc": ["body", "top_p"], "msg": "Extra inputs"}]}, "'top_p'"),
        ({"error": "model not found"}, "Error code: 400 - model not found"),
        ("<html>nothing here</html>", "Error code: 400 - <html>nothing here</html>"),
        (None, "Error code: 400"),
    ],
)
def test_what_a_server_says_is_shown_in_whatever_form(body: object, said: str) -> None:
    assert said in what_was_said(refusal(body))


def test_a_refusal_in_another_form_is_understood() -> None:
    error = refusal({"detail": "Unexpected fields in the request: {'top_p'}"})
    assert refused_parameter(error, parameters(Request("level", ("x",)), ())) == "top_p"


def test_nothing_can_be_left_out_twice() -> None:
    sent = parameters(Request("level", ("x",)), ("response_format", "temperature"))
    assert refused_parameter(bad_request("temperature is not supported"), sent) is None
    assert sent == {"top_p": 0.9, "max_tokens": MAX_TOKENS}


def test_structured_answers_that_must_be_are_not_given_up_for_another_error(run: Path) -> None:
    plan = AnnotationSettings(repeats=1, structured="on")
    with fault_server(rejects={"top_p": NEWEST["top_p"], "response_format": "no such format"}) as served:
        with pytest.raises(AnnotationError, match="no such format"):
            annotate(run, served.address, "m", plan)
        assert not served.answered


def test_a_server_that_is_down_is_told_at_once_and_before_the_question(run: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, and not listened at
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        asked: list[object] = []
        with pytest.raises(AnnotationError, match=f"Nothing answers at {address}. Start the server"):
            annotate(run, address, "m", ONE_BY_ONE, confirm=lambda one: bool(asked.append(one)))
    assert not asked


def test_no_server_is_needed_where_everything_is_answered(run: Path) -> None:
    with fault_server() as served:
        found = annotate(run, served.address, "m", ONE_BY_ONE)
    assert annotate(run, served.address, "m", ONE_BY_ONE).equals(found)


@pytest.mark.parametrize("ending", ["", "/v1/chat/completions", "/chat/completions", "/v1/models/../chat"])
def test_another_path_is_told_from_another_model(run: Path, ending: str) -> None:
    with fault_server(models=["m"]) as served:
        root = served.address.removesuffix("/v1")
        with pytest.raises(AnnotationError, match=rf"Not Found.*Is its address {root}.*/v1\?"):
            annotate(run, root + ending, "m", ONE_BY_ONE)


def test_the_models_of_a_server_are_listed_where_the_name_is_wrong(run: Path) -> None:
    names = [f"model{number}" for number in range(10)]
    with fault_server(models=names) as served, pytest.raises(AnnotationError) as failed:
        annotate(run, served.address, "m", ONE_BY_ONE)
    assert "no such model" in str(failed.value)
    assert "It lists no model 'm', but model0, model1" in str(failed.value) and "model7 and 2 more" in str(failed.value)
