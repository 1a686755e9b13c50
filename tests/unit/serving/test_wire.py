"""The wire format: what is read, what is refused, and that all that is written is JSON."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rlpersona import errors
from rlpersona.errors import ConfigError, ConflictError, DataError, PersonaError, UnknownModelError
from rlpersona.serving.wire import (
    STATUS,
    BadRequestError,
    Reply,
    error_body,
    provenance_headers,
    read_json,
    read_request,
    status_of,
)
from rlpersona.types import Message

CHAT: dict[str, Any] = {"model": "base", "messages": [{"role": "user", "content": "Hello?"}]}
CAP = 100


def test_a_plain_chat_has_the_defaults_of_the_api() -> None:
    asked = read_request(CHAT, True, CAP)
    assert asked.messages == (Message("user", "Hello?"),)
    assert (asked.temperature, asked.top_p, asked.seed, asked.stop) == (1.0, 1.0, None, ())
    assert (asked.max_tokens, asked.stream, asked.include_usage) == (CAP, False, False)


def test_the_newer_names_mean_the_same() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo?"}]
    messages = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}]
    asked = read_request({**CHAT, "messages": messages, "max_completion_tokens": 7}, True, CAP)
    assert asked.messages == (Message("system", "Be kind."), Message("user", "Hello?"))
    assert asked.max_tokens == 7


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": None}, "model is missing"),
        ({"model": 3}, "model=3"),
        ({"model": "x" * 300}, "model"),
        ({"messages": None}, "messages is missing"),
        ({"messages": []}, "messages is missing"),
        ({"messages": "hi"}, "messages is missing or no list"),
        ({"messages": [{"role": "robot", "content": "x"}]}, r"messages\[0\] has no role"),
        ({"messages": [{"role": "user", "content": 3}]}, r"messages\[0\].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "content is no text"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "surrogate"),
        ({"messages": [{"role": "user", "content": "x"}] * 1025}, "1025 messages"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"max_tokens": -5}, "max_tokens=-5"),
        ({"max_tokens": CAP + 1}, "max_tokens=101"),
        ({"max_tokens": 1.5}, "max_tokens=1.5"),
        ({"max_tokens": True}, "max_tokens=True"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens='9'"),
        ({"temperature": -1}, "temperature=-1"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"top_p": 0}, "top_p=0"),
        ({"seed": 2**70}, "seed="),
        ({"n": 1000}, "n=1000"),
        ({"logprobs": True}, "logprobs=True"),
        ({"tools": [{}]}, "tools="),
        ({"top_k": 5}, "top_k=5 is not supported"),
        ({"repetition_penalty": 1.1}, "repetition_penalty=1.1"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ["a", "\ud800"]}, "stop holds half of a surrogate pair"),
        ({"stream": "yes"}, "stream='yes'"),
        ({"stream_options": 1}, "stream_options=1"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequestError, match=told) as caught:
        read_request({**CHAT, **change}, True, CAP)
    assert status_of(caught.value) == 400


@pytest.mark.parametrize("temperature", [0, -0.0, 1e-7, 1e-40, 5e-324])
def test_next_to_no_temperature_is_none(temperature: float) -> None:
    """Divided by less, logits of float32 are infinite and the draw is of NaNs."""
    assert read_request({**CHAT, "temperature": temperature}, True, CAP).temperature == 0
    assert read_request({**CHAT, "temperature": 1e-5}, True, CAP).temperature == 1e-5


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"3", b'"x"', b"\xff{}", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequestError):
        read_json(body)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("messages", "prompt", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "n")


@given(st.dictionaries(st.sampled_from(("model", "stream_options", *FIELDS)), anything), st.booleans())
def test_wild_bodies_are_read_or_refused_and_nothing_else(body: dict[str, Any], chat: bool) -> None:
    with suppress(BadRequestError):
        asked = read_request(body, chat, CAP)
        assert 1 <= asked.max_tokens <= CAP
        assert 0 <= asked.temperature <= 2
        assert asked.messages if chat else asked.text


@given(st.lists(st.text(), min_size=1, max_size=4), st.text(max_size=20), st.booleans())
@example(["Yes."], "the 100 % honest %s {x}", True)
def test_a_stream_is_events_of_json_that_add_up_to_the_text(
    texts: list[str], persona: str, chat: bool
) -> None:
    body = CHAT if chat else {"model": "base", "prompt": "Hello?"}
    reply = Reply(read_request(body, chat, CAP), "id-1", 17, {"persona": persona})
    wire = reply.first() + b"".join(map(reply.piece, texts[:-1])) + reply.last(texts[-1], "stop", (3, 4))
    events = [event.removeprefix("data: ") for event in wire.decode().split("\n\n")]
    assert events[-2:] == ["[DONE]", ""]
    *chunks, usage = [json.loads(event) for event in events[:-2]]
    choices = [chunk["choices"][0] for chunk in chunks]
    said = [one["delta"].get("content", "") if chat else one["text"] for one in choices]
    assert "".join(said) == "".join(texts)
    assert [one["finish_reason"] for one in choices] == [None] * len(texts) + ["stop"]
    assert {chunk["id"] for chunk in chunks} == {"id-1"}
    assert usage["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert chunks[0]["rlpersona"] == chunks[-1]["rlpersona"] == {"persona": persona}


@given(st.text(), st.text(max_size=20))
def test_a_whole_response_holds_text_usage_and_provenance(text: str, model: str) -> None:
    asked = read_request({**CHAT, "model": model or "base"}, True, CAP)
    whole = json.loads(Reply(asked, "id-1", 17, {"run": "r", "step": 3}).whole(text, "length", (5, 6)))
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": text, "refusal": None}
    assert whole["usage"]["total_tokens"] == 11
    assert whole["model"] == (model or "base")
    assert whole["rlpersona"] == {"run": "r", "step": 3}


def test_headers_carry_any_name_as_ascii() -> None:
    named = {"run": "a", "persona": "Søren Kierkegård\r\nx: y", "step": 3}
    headers = dict(provenance_headers(named))
    assert headers[b"x-rlpersona-run"] == b"a"
    assert headers[b"x-rlpersona-persona"] == b"S%C3%B8ren Kierkeg%C3%A5rd%0D%0Ax%3A y"
    assert set(headers) == {b"x-rlpersona-run", b"x-rlpersona-persona"}


def test_every_error_of_the_tree_has_a_status() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, PersonaError)
    ]
    assert all(400 <= status_of(kind("what", "fix")) < 600 for kind in kinds)
    assert set(STATUS) <= set(kinds)
    assert status_of(UnknownModelError("x")) == 404
    assert status_of(ConflictError("x")) == 409
    assert status_of(ConfigError("x")) == 400
    assert status_of(DataError("the feedback is torn")) == 500, "no fault of the request"


def test_an_error_says_what_and_how_to_fix_it() -> None:
    status, body = error_body(UnknownModelError("There is no model 'bsae'.", "Did you mean 'base'?"))
    error = json.loads(body)["error"]
    assert status == 404
    assert error["message"] == "There is no model 'bsae'. Did you mean 'base'?"
    assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")
