"""Single answers rated: the scale of roles is the published one, and levels are whole and in range."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest

from rlpersona.errors import ConfigError
from rlpersona.judges.asking import JudgeModel
from rlpersona.judges.prompts import load
from rlpersona.judges.rubric import ASPECTS, AspectJudge, Played, RoleJudge
from tests.unit.judges.replying import Answer, Replying

MODEL = JudgeModel("anthropic", "claude-test")


def role(blocks: dict[str, str]) -> Answer:
    """The rubric by keywords."""
    answer = blocks["ANSWER"]
    if "an AI" not in answer:
        return '{"reason": "in role", "score": 3}'
    return "Score: 2" if "arr" in answer else ("0" if "cannot" in answer else "1")


def test_roles_are_rated() -> None:
    answers = ["Arr, me hearty!", "As an AI I say arr.", "As an AI I cannot.", "As an AI: Paris."]
    asked = Replying(role)
    ratings = RoleJudge(MODEL, asked).rate(
        [Played("q", text, "pirate", "robs ships") for text in answers]
    )
    assert [rating.score for rating in ratings] == [3, 2, 0, 1]
    assert [rating.key for rating in ratings] == [call.key for call in asked.calls]
    assert "pirate: robs ships" in asked.calls[0].messages[1].content
    assert json.loads(asked.calls[0].schema)["properties"]["score"]["enum"] == [0, 1, 2, 3]


def test_the_levels_are_those_of_the_assistant_axis(shared_data: Path) -> None:
    """Each level of the published rubric names the same facts: voice, refusal, attempt, traits, role."""
    with tarfile.open(shared_data / "assistant_axis" / "roles_instructions.tar.gz") as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("pirate.json"))
        file = archive.extractfile(member)
        assert file is not None
        theirs = json.load(file)["eval_prompt"]
    levels = {
        name: re.findall(pattern, text, re.MULTILINE)
        for name, text, pattern in (
            ("theirs", theirs, r"^- (\d) if (.*)$"),
            ("ours", load("role-v1").system, r"^(\d): (.*)$"),
        )
    }
    assert (
        [level for level, _ in levels["ours"]]
        == [level for level, _ in levels["theirs"]]
        == list("0123")
    )
    for (_, ours), (_, there) in zip(levels["ours"], levels["theirs"], strict=True):
        for fact in ("refus|cannot answer", "fully play", r"\(an AI assistant", "attempt|tries", "some"):
            assert bool(re.search(fact, ours)) == bool(re.search(fact, there))


def test_aspects_are_rated_each_by_itself() -> None:
    def said(blocks: dict[str, str]) -> Answer:
        return json.dumps({"reason": "r", **dict(zip(ASPECTS, (1, 2, 4, 5), strict=True))})

    asked = Replying(said)
    rating = AspectJudge(MODEL, asked).rate([("q", "a")])[0]
    assert rating.scores == dict(zip(ASPECTS, (1, 2, 4, 5), strict=True))
    assert all(
        f"{name}: {meaning}" in asked.calls[0].messages[0].content for name, meaning in ASPECTS.items()
    )
    assert json.loads(asked.calls[0].schema)["required"] == ["reason", *ASPECTS]


def test_repetitions_are_calls_of_their_own() -> None:
    asked = Replying(role)
    keys = {RoleJudge(MODEL, asked, sample=k).call(Played("q", "a", "pirate")).key for k in (0, 1)}
    keys |= {AspectJudge(MODEL, asked, sample=k).call("q", "a").key for k in (0, 1)}
    assert len(keys) == 4


def test_an_aspect_that_is_missing_fails_the_rating() -> None:
    judge = AspectJudge(
        MODEL, Replying(lambda _: '{"honesty": 5}'), aspects={"honesty": "h", "wit": "w"}
    )
    rating = judge.rate([("q", "a")])[0]
    assert (rating.scores, rating.error) == (None, "unparsed")
    one = AspectJudge(MODEL, Replying(lambda _: '{"honesty": 5}'), aspects={"honesty": "h"})
    assert one.rate([("q", "a")])[0].scores == {"honesty": 5}


@pytest.mark.parametrize("aspects", [{}, {"reason": "x"}, {"two words": "x"}, {"": "x"}])
def test_aspects_that_cannot_be_asked_for_are_refused(aspects: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="cannot be asked for"):
        AspectJudge(MODEL, Replying(role), aspects=aspects)
