"""The examination: flaws that were planted are counted, biases that were planted are found."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from rlpersona.preferences.checks import examine, flaws, marks
from rlpersona.preferences.labels import Label
from rlpersona.preferences.pairs import Pair
from rlpersona.preferences.shares import share
from rlpersona.stats import wilson


def pairs_of(prompts: int, each: int = 1, seed: int = 0) -> list[Pair]:
    """Pairs whose answers have random lengths, never equal."""
    draw = random.Random(seed)
    return [
        Pair(f"{k}-{j}", f"Q{k}", "x" * draw.randrange(10, 90, 2), "y" * draw.randrange(11, 91, 2))
        for k in range(prompts)
        for j in range(each)
    ]


def longer_with(chance: float, pairs: list[Pair], seed: int = 1) -> dict[str, Label]:
    """A labeller who takes the longer answer with this chance, whatever the side."""
    draw = random.Random(seed)
    labels = {}
    for pair in pairs:
        longer, shorter = ("a", "b") if len(pair.a) > len(pair.b) else ("b", "a")
        choice = longer if draw.random() < chance else shorter
        order = draw.choice(("AB", "BA"))
        labels[pair.id] = Label(pair.id, choice, (f"{order}:{choice}",))
    return labels


def test_planted_flaws_are_counted() -> None:
    clean = [Pair(f"{k}", f"Q{k}", f"a{k}", f"b{k}") for k in range(5)]
    assert not any(flaws(clean).values())
    bad = [
        Pair("0", "Q9", "a", "b"),
        Pair("8", "Q1", "b1", "a1"),
        Pair("9", "Q2", " ", "b"),
        Pair("10", "Q3", "same  text", "same text"),
    ]
    assert flaws(clean + bad) == {
        "repeated ids": 1,
        "repeated pairs": 1,
        "empty": 1,
        "identical answers": 1,
    }
    assert not examine(clean + bad, {}).sound


@pytest.mark.parametrize("each", [1, 3])
def test_length_bias_is_found_where_it_is_planted_and_nowhere_else(each: int) -> None:
    pairs = pairs_of(200, each)
    biased, fair = (marks(pairs, longer_with(chance, pairs)) for chance in (0.8, 0.5))
    assert biased.longer is not None
    assert biased.longer.low > 0.5
    assert biased.longer.contains(0.8)
    assert fair.longer is not None
    assert fair.longer.contains(0.5)
    assert fair.longer.n == 200, "prompts, not pairs"
    assert biased.first is not None
    assert biased.first.contains(0.5), "sides were drawn at random"


def test_position_bias_of_people_and_of_judges() -> None:
    pairs = pairs_of(60)
    left = {p.id: Label(p.id, "b", ("BA:b",)) for p in pairs}
    found = marks(pairs, left).first
    assert found is not None
    assert found.estimate == 1.0
    # A judge who always takes what stands first contradicts itself: a tie with two decided sides.
    judge = {p.id: Label(p.id, "tie", ("AB:a", "BA:b")) for p in pairs}
    report = marks(pairs, judge)
    assert report.first is not None
    assert report.first.estimate == 1.0
    assert report.consistent is not None
    assert report.consistent.estimate == 0.0
    assert report.ties is not None
    assert report.ties.estimate == 1.0
    assert report.longer is None


def test_failures_and_skips_are_no_votes() -> None:
    pairs = pairs_of(4)
    labels = {
        "0-0": Label("0-0", "a", ("AB:a",)),
        "1-0": Label("1-0", "skip", ("AB:skip",)),
        "2-0": Label("2-0", None, error="filter"),
        "3-0": Label("3-0", "tie", ("AB:tie",)),
    }
    found = marks(pairs, labels)
    assert (found.labelled, found.skipped, found.failed) == (2, 1, 1)
    assert found.ties is not None
    assert (found.ties.estimate, found.ties.n) == (0.5, 2)


def test_agreement_by_hand() -> None:
    # 20 pairs: both a 8, both b 6, a/b 3, b/a 3. p_o = .7, p_e = .55^2 + .45^2 = .505, kappa = .39394.
    said = ["aa"] * 8 + ["bb"] * 6 + ["ab"] * 3 + ["ba"] * 3
    pairs = pairs_of(21)
    ann = {p.id: Label(p.id, two[0]) for p, two in zip(pairs, said, strict=False)}
    bob = {p.id: Label(p.id, two[1]) for p, two in zip(pairs, said, strict=False)}
    last = pairs[20].id
    ann[last], bob[last] = Label(last, "skip"), Label(last, "a")
    report = examine(pairs, {"bob": bob, "ann": ann})
    assert report.agreement is not None
    kappa = report.agreement.kappa["ann", "bob"]
    assert kappa is not None
    assert kappa.estimate == pytest.approx((0.7 - 0.505) / 0.495)
    assert kappa.low < kappa.estimate < kappa.high
    # Krippendorff 2011: alpha = 1 - (n - 1) sum o_ck / sum n_c n_k, n = 40 values, 22 a and 18 b.
    alpha = report.agreement.alpha
    assert alpha is not None
    assert alpha.estimate == pytest.approx(1 - 39 * 12 / (2 * 22 * 18))
    json.dumps(report.as_dict(), allow_nan=False)


def test_nobody_and_one_annotator_have_no_agreement() -> None:
    pairs = pairs_of(3)
    assert examine(pairs, {}).agreement is None
    assert examine(pairs, {"ann": longer_with(1, pairs)}).agreement is None
    same = {name: {p.id: Label(p.id, "a") for p in pairs} for name in ("ann", "bob")}
    report = examine(pairs, same)
    assert report.agreement is not None
    assert report.agreement.kappa["ann", "bob"] is None, "not defined, and not 1"
    json.dumps(report.as_dict(), allow_nan=False)


def test_a_share_of_single_items_is_wilsons() -> None:
    hits = [True] * 7 + [False] * 3
    assert share(hits, [str(k) for k in range(10)]) == wilson(7, 10)
    assert share([], []) is None
    one_prompt = share(hits, ["same"] * 10)
    assert one_prompt is not None
    assert one_prompt.n == 1
    assert one_prompt.high - one_prompt.low > 0.7, "one prompt tells next to nothing"


def test_a_clustered_share_covers_its_truth() -> None:
    """Prompts whose own chance is drawn from Beta(2, 2), four pairs each: truth .5."""
    draw = np.random.default_rng(5)
    covered = naive = 0
    for _ in range(300):
        chances = draw.beta(2, 2, size=50)
        hits = (draw.random((50, 4)) < chances[:, None]).ravel()
        found = share(hits.tolist(), np.repeat(np.arange(50), 4).astype(str).tolist())
        assert found is not None
        covered += found.contains(0.5)
        naive += wilson(int(hits.sum()), 200).contains(0.5)
    assert 0.92 <= covered / 300 <= 0.98
    assert naive / 300 < 0.90, "taking pairs for independent claims too much"
