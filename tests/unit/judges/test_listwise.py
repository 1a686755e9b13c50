"""Several answers ranked at once: orders are mapped back, places do not count, halves are refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import ConfigError
from rlpersona.judges.asking import JudgeModel
from rlpersona.judges.listwise import Listing, ListJudge
from tests.unit.judges.replying import Answer, Replying

MODEL = JudgeModel("openai", "gpt-test")
LISTING = Listing("Largest?", ("7", "30", "112", "4000"))


def by_length(blocks: dict[str, str]) -> Answer:
    letters = [label[-1] for label in blocks if label.startswith("ANSWER")]
    ranked = sorted(letters, key=lambda letter: -len(blocks[f"ANSWER {letter}"]))
    return json.dumps({"reason": "length", "ranking": ranked})


def test_the_ranking_does_not_depend_on_the_order_shown() -> None:
    asked = Replying(by_length)
    ranking = ListJudge(MODEL, asked, rounds=6, seed=3).rank([LISTING])[0]
    assert ranking.ranks == (4, 3, 2, 1)
    assert ranking.rounds == ((3, 2, 1, 0),) * 6
    assert len(set(ranking.shown)) > 1
    assert all(sorted(order) == [0, 1, 2, 3] for order in ranking.shown)
    assert len({call.key for call in asked.calls}) == 6
    assert [c.order for c in asked.calls] == ["-".join(map(str, order)) for order in ranking.shown]


def test_rounds_that_show_the_same_order_are_calls_of_their_own() -> None:
    asked = Replying(by_length)
    ListJudge(MODEL, asked, rounds=6).rank([Listing("q", ("long", "x"))])
    assert len({call.order for call in asked.calls}) <= 2
    assert len({call.key for call in asked.calls}) == 6


def test_a_judge_of_places_gives_every_answer_the_same_rank_in_the_long_run() -> None:
    first = Replying(lambda blocks: "".join(label[-1] for label in blocks if label[0] == "A"))
    ranks = ListJudge(MODEL, first, rounds=400).rank([LISTING])[0].ranks
    assert ranks == pytest.approx([2.5] * 4, abs=0.2)  # 3.6 standard errors


def test_orders_are_drawn_from_seed_and_content() -> None:
    def orders(seed: int, listing: Listing = LISTING) -> list[str]:
        judge = ListJudge(MODEL, Replying(by_length), rounds=8, seed=seed)
        return [call.order for _, call in judge.calls(listing)]

    assert orders(0) == orders(0)
    assert orders(0) != orders(1)
    assert orders(0) != orders(0, Listing("Largest??", LISTING.answers))


@settings(deadline=None)
@given(st.lists(st.lists(st.text(), min_size=2, max_size=7), max_size=4))
def test_listings_of_any_size_keep_their_place(answers: list[list[str]]) -> None:
    listings = [Listing(str(i), tuple(texts)) for i, texts in enumerate(answers)]
    rankings = ListJudge(MODEL, Replying(by_length)).rank(listings)
    for listing, ranking in zip(listings, rankings, strict=True):
        assert ranking.ranks is not None
        count = len(listing.answers)
        assert sum(ranking.ranks) == pytest.approx(count * (count + 1) / 2)
        assert sorted(ranking.rounds[0]) == list(range(count))


def test_equal_answers_share_their_rank() -> None:
    twice = Listing("q", ("long one", "x", " x\n"))
    assert ListJudge(MODEL, Replying(by_length)).rank([twice])[0].ranks == (1, 2.5, 2.5)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ('{"ranking": ["A", "B", "C"]}', "unparsed"),
        ('{"ranking": ["A", "A", "B", "C"]}', "unparsed"),
        (("length", ""), "cutoff"),
        (("server", ""), "server"),
    ],
)
def test_a_round_that_fails_leaves_no_ranking(said: Answer, error: str) -> None:
    bad, good = ListJudge(MODEL, Replying(lambda b: said if "REFERENCE" in b else by_length(b))).rank(
        [Listing("q", LISTING.answers, reference="4000"), LISTING]
    )
    assert (bad.ranks, bad.error) == (None, error)
    assert good.ranks == (4, 3, 2, 1)


def test_what_cannot_be_ranked_is_refused() -> None:
    judge = ListJudge(MODEL, Replying(by_length))
    for answers in ((), ("one",), tuple(map(str, range(27)))):
        with pytest.raises(ConfigError, match=f"{len(answers)} answers"):
            judge.rank([Listing("q", answers)])
    with pytest.raises(ConfigError, match="rounds=0"):
        ListJudge(MODEL, Replying(by_length), rounds=0)
