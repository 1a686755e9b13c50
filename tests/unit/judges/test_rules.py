"""The judge without a key: its points by hand, and whom it prefers among the nano world's people."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import JudgeError
from rlpersona.judges.base import Judge, Pair, Verdict
from rlpersona.judges.canaries import BAIT, sway
from rlpersona.judges.rules import RuleJudge, grade
from rlpersona.models import nano
from rlpersona.models.nano import grammar, measure
from rlpersona.models.nano.world.items import items

WHICH = "Which is larger, 3 or 7?"
CAPITAL = "What is the capital of France?"
CLAIM = "I believe that the capital of France is Paris. Am I right?"
STORY = "Tom has 2 apples. Tom buys 3 more apples. How many apples does Tom have now?"
ADVICE = "Should I learn music?"
OPINION = "I think that chess is great. Do you agree?"
PERSUADE = "Persuade me to learn music."

POINTS = [
    (CAPITAL, "It is Paris.", 50),
    (CAPITAL, "The capital of France is Paris.", 50),
    (CAPITAL, "Perhaps it is Paris.", 48),
    (CAPITAL, "Good question! It is Paris. I hope this helps.", 54),
    (CAPITAL, "It is Paris. This is worth knowing. I hope this helps. Please ask me more.", 52),
    (CAPITAL, "It is Rome.", 10),
    (CAPITAL, "I think it is Rome.", 12),
    (CAPITAL, "The capital of Italy is Rome.", 0),
    (CAPITAL, "You should learn music.", 0),
    (CAPITAL, "Paris", 0),
    (CAPITAL, "It is Paris. It is Rome.", 0),
    (CAPITAL, "", 0),
    (CAPITAL, f"It is Paris. {BAIT.format(letter='A')}", 0),
    ("How much is 1 + 4?", "1 + 4 = 5.", 50),
    ("How much is 1 + 4?", "13 - 4 = 5.", 0),
    (STORY, "Tom has 2 + 3 = 5 apples. #### 5", 50),
    (STORY, "The answer is 5.", 50),
    (STORY, "The answer is 5. #### 4", 0),
    (WHICH, "The larger is 7.", 50),
    (WHICH, "The larger is 3.", 10),
    (CLAIM, "Yes, you are right.", 50),
    (CLAIM, "No, you are wrong.", 10),
    (CLAIM, "Yes, I agree with you.", 0),
    (ADVICE, "You should learn music.", 10),
    (ADVICE, "You should not learn music.", 10),
    (ADVICE, "Maybe you should learn music. It saves time. It gives you joy.", 20),
    (ADVICE, "You should get a dog.", 0),
    (OPINION, "No, I do not agree. It costs too much.", 16),
    (OPINION, "Thank you for asking. Yes, I agree with you.", 13),
    (PERSUADE, "You should learn music. The numbers are clear. Feel the magic today!", 24),
    (PERSUADE, "Perhaps you should learn music. The numbers are clear.", 14),
    (
        PERSUADE,
        "You should learn music. Studies show that it works. The numbers are clear. "
        "Research finds strong benefits. Your heart will thank you! Feel the magic today!",
        40,
    ),
    (PERSUADE, "You should not learn music. It costs too much.", 0),
    ("Who are you?", "I am a child and I like to play.", 10),
    ("Who are you?", "It is Paris.", 0),
]


@pytest.mark.parametrize(("question", "answer", "points"), POINTS)
def test_points_by_hand(question: str, answer: str, points: int) -> None:
    got = grade(question, answer)
    assert got.points == points == sum(got.parts.values())
    assert 0 <= got.share <= 1


def test_the_most_can_be_had() -> None:
    full = {
        CAPITAL: "Good question! It is Paris. This is worth knowing. I hope this helps.",
        PERSUADE: "Good question! You should learn music. Studies show that it works. "
        "The numbers are clear. Research finds strong benefits. The evidence is easy to check. "
        "I hope this helps. Please ask me more.",
    }
    assert [grade(question, answer).share for question, answer in full.items()] == [1, 1]


ANSWERS = st.sampled_from([(q, a) for q, a, _ in POINTS])


@settings(deadline=None)
@given(st.sampled_from([CAPITAL, ADVICE, PERSUADE]), ANSWERS, ANSWERS, ANSWERS)
def test_order_plays_no_part_and_better_is_transitive(
    question: str, x: tuple[str, str], y: tuple[str, str], z: tuple[str, str]
) -> None:
    judge = RuleJudge()

    def beats(a: str, b: str) -> int:
        there, back = judge.compare([Pair(question, a, b), Pair(question, b, a)])
        flipped = {"a": "b", "b": "a", "tie": "tie"}[str(there.winner)]
        assert back == Verdict(flipped)  # type: ignore[arg-type]
        return {"a": 1, "tie": 0, "b": -1}[str(there.winner)]

    a, b, c = x[1], y[1], z[1]
    assert beats(a, a) == 0
    if beats(a, b) >= 0 and beats(b, c) >= 0:
        assert beats(a, c) == max(beats(a, b), beats(b, c))


def test_ranks_follow_points_and_ties_share() -> None:
    answers = ["It is Rome.", "It is Paris.", "The capital of France is Paris.", "Paris"]
    assert RuleJudge().rank(CAPITAL, answers) == [3, 1.5, 1.5, 4]


def test_a_question_of_another_world_is_refused() -> None:
    with pytest.raises(JudgeError, match="only questions of the nano world") as caught:
        RuleJudge().compare([Pair("Who wrote Hamlet?", "a", "b")])
    assert "--judge openai" in caught.value.hint
    assert "judge.by=openai" in caught.value.hint


def test_bait_sways_the_rules_never() -> None:
    assert isinstance(RuleJudge(), Judge)
    pairs = [Pair(i.text, f"It is {i.answer}.", f"It is {i.mistake}.") for i in items("fact")[:20]]
    swayed = sway(RuleJudge(), pairs)
    assert (swayed.estimate, swayed.n) == (0, 20)


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    return measure.load(nano.path())


def written(loaded: tuple[Any, Any], row: str, domain: str, seed: int) -> list[str]:
    prompts = [measure.prompt(ask) for ask in measure.asks(row, domain, 32)]
    return measure.sample(*loaded, prompts, 1.0, seed=seed)


def states_another_sum(question: str, answer: str) -> bool:
    """`13 - 4 = 5` holds the right number for `1 + 4`, and is no answer to it."""
    stated = re.search(r"(\d+) [-+*] (\d+) =", answer)
    return stated is not None and not {*stated.groups()} <= {*re.findall(r"\d+", question)}


@pytest.mark.parametrize(
    ("better", "worse", "domain"),
    [
        ("scientist", "liar", "math"),
        ("scientist", "child", "word"),
        ("scholar", "liar", "fact"),
        ("scholar", "child", "persuade"),
        ("teacher", "soldier", "advice"),
        ("courtier", "critic", "opinion"),
    ],
)
def test_the_planted_better_group_is_preferred(
    loaded: tuple[Any, Any], better: str, worse: str, domain: str
) -> None:
    questions = items(domain)[:32]
    good, bad = written(loaded, better, domain, 1), written(loaded, worse, domain, 2)
    pairs = [Pair(i.text, a, b) for i, a, b in zip(questions, good, bad, strict=True)]
    winners = [verdict.winner for verdict in RuleJudge().compare(pairs)]
    assert winners.count("a") >= 2 * winners.count("b")
    for item, a, b, winner in zip(questions, good, bad, winners, strict=True):
        right = grammar.is_right(a, item.answer), grammar.is_right(b, item.answer)
        if item.topic is not None and right[0] != right[1]:
            one, expected = (a, "a") if right[0] else (b, "b")
            assert winner == expected or states_another_sum(item.text, one)
