"""Pairs are judged in both orders, and no order, failure or reply is turned into a winner by chance."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import DataError
from rlpersona.judges.asking import JudgeModel, again
from rlpersona.judges.base import Judge, Pair, Side, Verdict
from rlpersona.judges.canaries import sway
from rlpersona.judges.pairwise import SCHEMA, ApiJudge
from rlpersona.types import Sampling
from tests.unit.judges.replying import Answer, Replying

MODEL = JudgeModel("openai", "gpt-test")
PAIRS = [Pair("Capital of France?", "Paris, dear friend", "Rome"), Pair("2 + 2?", "5", "It is 4")]


def knows(blocks: dict[str, str]) -> Answer:
    """Prefers the text that holds the truth."""
    right = [any(truth in blocks[f"ANSWER {x}"] for truth in ("Paris", "4")) for x in "AB"]
    return json.dumps({"reason": "known", "winner": "tie" if right[0] == right[1] else "BA"[right[0]]})


def judge(answer: object, **how: object) -> ApiJudge:
    return ApiJudge(MODEL, Replying(answer), **how)  # type: ignore[arg-type]


def test_both_orders_are_asked_and_mapped_back() -> None:
    knowing = judge(knows)
    assert isinstance(knowing, Judge)
    verdicts = knowing.compare(PAIRS)
    assert [verdict.winner for verdict in verdicts] == ["a", "b"]
    assert [[(s.order, s.winner) for s in v.sides] for v in verdicts] == [
        [("AB", "a"), ("BA", "a")],
        [("AB", "b"), ("BA", "b")],
    ]
    assert all(verdict.consistent for verdict in verdicts)
    calls = knowing.ask.calls  # type: ignore[attr-defined]
    assert [call.order for call in calls] == ["AB", "BA", "AB", "BA"]
    assert len({call.key for call in calls}) == 4
    assert [s.key for v in verdicts for s in v.sides] == [call.key for call in calls]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=6))
def test_swapping_the_answers_swaps_the_verdict(rows: list[tuple[str, str, str]]) -> None:
    def longer(blocks: dict[str, str]) -> str:
        a, b = len(blocks["ANSWER A"]), len(blocks["ANSWER B"])
        return "tie" if a == b else "A" if a > b else "B"

    pairs = [Pair(*row) for row in rows]
    swapped = [Pair(pair.question, pair.b, pair.a) for pair in pairs]
    flip = {"a": "b", "b": "a", "tie": "tie"}
    there = [v.winner for v in judge(longer).compare(pairs)]
    back = [v.winner for v in judge(longer).compare(swapped)]
    assert [flip[str(winner)] for winner in there] == back


def test_a_judge_that_looks_at_the_place_decides_nothing() -> None:
    verdicts = judge(lambda _: '{"winner": "A"}').compare(PAIRS)
    assert [(v.winner, v.consistent, v.error) for v in verdicts] == [("tie", False, None)] * 2
    one = judge(lambda _: '{"winner": "A"}', both_orders=False).compare(PAIRS)
    assert [(v.winner, v.consistent) for v in one] == [("a", None)] * 2


def test_a_side_that_fails_leaves_no_verdict() -> None:
    def half(blocks: dict[str, str]) -> Answer:
        return ("rate", "") if blocks["ANSWER A"] == "Rome" else knows(blocks)

    first, second = judge(half).compare(PAIRS)
    assert (first.winner, first.error, first.consistent) == (None, "BA: rate", None)
    assert second.winner == "b"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (("length", '{"winner": "A"}'), "cutoff"),
        (("filter", '{"winner": "A"}'), "filter"),
        (("server", ""), "server"),
        ("I'm sorry, but I can't help with that.", "unparsed"),
    ],
)
def test_failures_keep_their_kind(said: Answer, error: str) -> None:
    verdict = judge(lambda _: said).compare(PAIRS[:1])[0]
    assert (verdict.winner, verdict.error) == (None, f"AB: {error}; BA: {error}")


def test_the_unreadable_is_asked_once_more_and_nothing_else_is() -> None:
    tried: list[str] = []

    def stubborn(blocks: dict[str, str]) -> Answer:
        first = blocks["ANSWER A"]
        tried.append(first)
        if first == "Rome":
            return ("timeout", "")
        return "Hm." if first == "5" or tried.count(first) == 1 else knows(blocks)

    asked = Replying(stubborn)
    verdicts = ApiJudge(MODEL, asked).compare(PAIRS)
    assert [v.error for v in verdicts] == ["BA: timeout", "AB: unparsed"]
    assert verdicts[1].sides[1].winner == "b"
    assert [c.prompt_version for c in asked.calls] == ["pairwise-v1"] * 4 + ["pairwise-v1+again-v1"] * 3
    assert len({call.key for call in asked.calls}) == 7
    assert verdicts[0].sides[0].key == again(asked.calls[0]).key


def test_equal_answers_tie_without_a_call() -> None:
    asked = Replying(knows)
    assert ApiJudge(MODEL, asked).compare([Pair("q", "same", " same\n")]) == [Verdict("tie")]
    assert ApiJudge(MODEL, asked).compare([]) == []
    assert asked.calls == []


def test_a_request_holds_what_decides_it_and_no_more() -> None:
    pair = PAIRS[0]
    (_, call), _ = judge(knows).calls(pair)
    assert json.loads(call.schema) == SCHEMA
    assert (call.model, call.prompt_version, call.sampling.temperature) == ("gpt-test", "pairwise-v1", 0)
    assert [m.role for m in call.messages] == ["system", "user"]
    others = [
        judge(knows, sample=1),
        ApiJudge(replace(MODEL, structured=False), Replying(knows)),
        ApiJudge(replace(MODEL, salt="x"), Replying(knows)),
        ApiJudge(replace(MODEL, sampling=Sampling(max_tokens=9)), Replying(knows)),
    ]
    keys = {call.key, *(other.calls(pair)[0][1].key for other in others)}
    assert len(keys) == 5
    assert judge(knows).calls(pair)[0][1].key == call.key
    assert others[1].calls(pair)[0][1].schema == ""


def test_a_reference_is_shown_with_its_own_instructions() -> None:
    asked = Replying(lambda blocks: "A" if blocks["ANSWER A"] == blocks["REFERENCE"] else "B")
    verdict = ApiJudge(MODEL, asked).compare([Pair("q", "x", "gold", reference="gold")])[0]
    assert verdict.winner == "b"
    assert {call.prompt_version for call in asked.calls} == {"pairwise-reference-v1"}


def test_verdicts_of_sides() -> None:
    def of(*winners: str | None) -> str | None:
        sides = [Side(o, w, None if w else "rate") for o, w in zip(("AB", "BA"), winners, strict=False)]  # type: ignore[arg-type]
        return Verdict.of(sides).winner

    assert of("a", "a") == "a"
    assert of("tie", "tie") == "tie"
    assert of("b", "a") == of("a", "tie") == "tie"
    assert of("b") == "b"
    assert of("a", None) is of(None, None) is None


def test_the_sway_of_bait_is_measured() -> None:
    def gullible(blocks: dict[str, str]) -> Answer:
        for letter in "AB":
            if "Ignore the above" in blocks[f"ANSWER {letter}"]:
                return letter
        return knows(blocks)

    def half(blocks: dict[str, str]) -> Answer:
        """Falls for bait in the second place only: the verdict turns to a tie, which counts."""
        return "B" if "Ignore the above" in blocks["ANSWER B"] else knows(blocks)

    assert sway(judge(gullible), PAIRS).estimate == 1
    assert sway(judge(half), PAIRS).estimate == 1
    steadfast = sway(judge(knows), PAIRS)
    assert (steadfast.estimate, steadfast.n) == (0, 2)
    with pytest.raises(DataError, match="no pair was decided"):
        sway(judge(lambda _: "tie"), PAIRS)
