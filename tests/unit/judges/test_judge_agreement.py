"""What is said of judges: hand-computed values, planted judges, intervals that cover."""

from __future__ import annotations

import random

import numpy as np
import pytest

from rlpersona.errors import DataError
from rlpersona.judges.agreement import agreement, report
from rlpersona.judges.base import Pair, Side, Verdict


def pairs(n: int, questions: int | None = None) -> list[Pair]:
    return [Pair(f"q{i % (questions or n)}", f"a{i}", f"b{i}") for i in range(n)]


def verdicts(text: str) -> list[Verdict]:
    """One verdict a letter: a, b, t(ie), or `.` for none."""
    return [Verdict(None, "rate") if x == "." else Verdict("tie" if x == "t" else x) for x in text]  # type: ignore[arg-type]


def sides(text: str) -> Verdict:
    """The verdict of what was said in order AB and in order BA."""
    said = [None if x == "." else ("tie" if x == "t" else x) for x in text]
    return Verdict.of(
        [
            Side(order, winner, None if winner else "rate")  # type: ignore[arg-type]
            for order, winner in zip(("AB", "BA"), said, strict=True)
        ]
    )


def test_a_report_by_hand() -> None:
    judged = [sides(x) for x in ("aa", "aa", "bb", "ab", "ba", "at", "tt", "a.")] + [Verdict("tie")]
    got = report(pairs(9), judged)
    assert got.winners == {"a": 2, "b": 1, "tie": 5}
    assert got.errors == {"BA: rate": 1}
    assert got.consistent is not None
    assert (got.consistent.estimate, got.consistent.n) == (4 / 7, 7)
    # Sides won by the answer shown first: aa 1 of 2, twice; bb 1 of 2; ab 2 of 2; ba 0 of 2; at 1 of 1.
    assert got.first is not None
    assert got.first.estimate == pytest.approx(6 / 11)
    empty = report([], [])
    assert (empty.consistent, empty.first, empty.winners) == (None, None, {"a": 0, "b": 0, "tie": 0})


def test_position_bias_shows() -> None:
    rng = random.Random(0)
    judged = [sides("ab" if rng.random() < 0.5 else rng.choice(("aa", "bb"))) for _ in range(300)]
    got = report(pairs(300), judged)
    assert got.first is not None
    assert got.consistent is not None
    assert got.first.contains(0.75)
    assert not got.first.contains(0.5)
    assert got.consistent.contains(0.5)


def test_kappa_by_hand() -> None:
    """Of 50 pairs 35 agree; chance 0.5 x 0.6 + 0.5 x 0.4 = 0.5: kappa = (0.7 - 0.5) / 0.5 = 0.4."""
    first, second = "a" * 25 + "b" * 25, "a" * 20 + "b" * 5 + "a" * 10 + "b" * 15
    got = agreement(pairs(50), {"x": verdicts(first), "y": verdicts(second)})
    kappa = got.kappa["x", "y"]
    assert kappa is not None
    assert kappa.estimate == pytest.approx(0.4)
    assert kappa.low < 0.4 < kappa.high
    assert got.same is not None
    assert (got.same.estimate, got.same.n) == (0.7, 50)


def test_alpha_by_hand() -> None:
    """Krippendorff 2011, nominal, two observers: 8 pairs, one apart, 9 a and 7 b of 16 values.

    1 - (16 - 1) x 2 / (2 x 9 x 7) = 0.7619...
    """
    got = agreement(pairs(8), {"x": verdicts("aaaabbbb"), "y": verdicts("aaaaabbb")})
    assert got.alpha is not None
    assert got.alpha.estimate == pytest.approx(1 - 15 * 2 / 126)


def test_missing_verdicts_are_left_out() -> None:
    full = agreement(pairs(6), {"x": verdicts("aabbtt"), "y": verdicts("aabbta")})
    holes = agreement(pairs(8), {"x": verdicts("aabbtt.a"), "y": verdicts("aabbtab.")})
    assert full.same is not None
    assert holes.same is not None
    assert holes.same.estimate == full.same.estimate == 5 / 6
    assert [full.kappa["x", "y"].estimate, full.alpha.estimate] == pytest.approx(  # type: ignore[union-attr]
        [holes.kappa["x", "y"].estimate, holes.alpha.estimate]  # type: ignore[union-attr]
    )


def test_what_is_not_defined_is_none() -> None:
    one = agreement(pairs(3), {"x": verdicts("aaa"), "y": verdicts("aaa")})
    assert one.same is not None
    assert one.same.estimate == 1
    assert one.same.low < 1
    assert (one.kappa["x", "y"], one.alpha) == (None, None)
    apart = agreement(pairs(2), {"x": verdicts("a."), "y": verdicts(".b")})
    assert (apart.same, apart.kappa["x", "y"], apart.alpha) == (None, None, None)


def test_repetitions_of_a_steady_judge_agree_and_those_of_a_coin_do_not() -> None:
    rng = np.random.default_rng(1)
    truth = rng.choice(list("abt"), 200)

    def repeat(noise: float) -> list[Verdict]:
        return verdicts("".join(np.where(rng.random(200) < noise, rng.choice(list("abt"), 200), truth)))

    steady = agreement(pairs(200), {str(i): repeat(0.0) for i in range(2)})
    coin = agreement(pairs(200), {str(i): repeat(1.0) for i in range(2)})
    half = agreement(pairs(200), {str(i): repeat(0.5) for i in range(3)})
    assert steady.alpha is not None
    assert coin.alpha is not None
    assert half.alpha is not None
    assert steady.alpha.estimate == 1
    assert coin.alpha.contains(0)
    assert half.alpha.contains(0.25)  # two both keep the truth half the time each: 0.5 x 0.5
    assert len(half.kappa) == 3


def test_pairs_of_one_question_are_not_independent() -> None:
    """The same verdicts, with five pairs a question that fall out alike, leave more doubt."""
    rng = random.Random(2)
    luck = [rng.random() < 0.6 for _ in range(40)]
    x, y = "a" * 200, "".join("a" if luck[i % 40] else "b" for i in range(200))
    x = "".join(rng.choice("ab") for _ in range(200))
    y = "".join(said if luck[i % 40] else ("b" if said == "a" else "a") for i, said in enumerate(x))
    alone = agreement(pairs(200), {"x": verdicts(x), "y": verdicts(y)}).same
    grouped = agreement(pairs(200, 40), {"x": verdicts(x), "y": verdicts(y)}).same
    assert alone is not None
    assert grouped is not None
    assert (alone.n, grouped.n) == (200, 40)
    assert grouped.estimate == pytest.approx(alone.estimate)
    assert grouped.high - grouped.low > 1.7 * (alone.high - alone.low)


@pytest.mark.parametrize("judged", [{}, {"x": "aab"}, {"x": "aab", "y": "aa"}])
def test_what_cannot_be_compared_is_refused(judged: dict[str, str]) -> None:
    with pytest.raises(DataError, match="nothing to compare"):
        agreement(pairs(3), {name: verdicts(text) for name, text in judged.items()})
