"""The graders' requests through both SDKs against a real HTTP server: schemas pass, replies are read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Literal

import pytest

from rlpersona.errors import CallError
from rlpersona.judges.asking import JudgeModel
from rlpersona.judges.base import Pair
from rlpersona.judges.pairwise import ApiJudge
from rlpersona.judges.rubric import ASPECTS, AspectJudge, Played, RoleJudge
from rlpersona.models.api import provider_for
from rlpersona.types import ApiCall
from tests.judge_server import Server, judge_server
from tests.unit.judges.replying import Ended

BOTH: list[Literal["openai", "anthropic"]] = ["openai", "anthropic"]
PAIRS = [Pair(f"Question {i}?", f"yes {i}", f"no {i}") for i in range(12)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with judge_server() as running:
        yield running


class Asking:
    """The plainest client: all at once, no retry."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url

    def __call__(self, calls: Sequence[ApiCall]) -> list[Ended]:
        return asyncio.run(self._all(calls))

    async def _all(self, calls: Sequence[ApiCall]) -> list[Ended]:
        provider = provider_for(self.name, self.url, "sk-test")

        async def one(call: ApiCall) -> Ended:
            try:
                return Ended((await provider.ask(call, 20))[0])
            except CallError as error:
                return Ended(None, error.kind)

        try:
            return await asyncio.gather(*map(one, calls))
        finally:
            await provider.close()


@pytest.mark.parametrize("name", BOTH)
def test_structured_replies_are_read(server: Server, name: Literal["openai", "anthropic"]) -> None:
    server.faults(replies={})
    model, ask = JudgeModel(name, "judge-1"), Asking(name, server.base_url)
    verdicts = ApiJudge(model, ask).compare(PAIRS)
    assert [verdict.error for verdict in verdicts] == [None] * len(PAIRS)
    assert len({side.winner for verdict in verdicts for side in verdict.sides}) > 1
    ratings = RoleJudge(model, ask).rate([Played(p.question, p.a, "pirate") for p in PAIRS])
    assert {rating.score for rating in ratings} <= {0, 1, 2, 3}
    scores = AspectJudge(model, ask).rate([(pair.question, pair.a) for pair in PAIRS])
    assert all(s.scores and set(s.scores) == set(ASPECTS) for s in scores)


@pytest.mark.parametrize("name", BOTH)
def test_free_text_is_read_and_asked_again(server: Server, name: Literal["openai", "anthropic"]) -> None:
    server.reset()
    server.faults(replies={"yes 1": "I would go with **B**, not A.", "could not be read": "Answer: (a)"})
    model = JudgeModel(name, "judge-1", structured=False)
    first, *rest = ApiJudge(model, Asking(name, server.base_url)).compare([PAIRS[1], *PAIRS[2:5]])
    assert [side.winner for side in first.sides] == ["b", "a"]
    # Without a schema the server babbles; the reminder then brings a plain A in either order.
    assert [[side.winner for side in verdict.sides] for verdict in rest] == [["a", "b"]] * 3
    assert server.stats().requests == 2 + 2 * 3 * 2
