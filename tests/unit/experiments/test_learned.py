"""What a search learned: hand-counted duels, a second implementation, ten thousand arms."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rlpersona.bandits import make_bandit
from rlpersona.config import BanditConfig
from rlpersona.experiments.bandit.learned import duels, learned_table, selection_noise
from rlpersona.stats import null_maximum, wilson
from rlpersona.types import Persona

NAN = float("nan")
Row = tuple[int, str, str, float]


def table_of(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["round", "persona", "question", "reward"])


def roster(names: list[str]) -> list[Persona]:
    return [Persona(name, f"You are {name}.", field="f", era="e") for name in names]


def learned(rows: list[Row], names: list[str]) -> pd.DataFrame:
    policy = make_bandit("reinforce", len(names), 0)
    return learned_table(roster(names), policy, table_of(rows)).set_index("name")


def test_duels_by_hand() -> None:
    found = duels(
        table_of(
            [
                # Others' means: A .5, B 1 / 2, C 1 -> A wins, B wins, C loses.
                (1, "A", "q1", 1.0),
                (1, "B", "q1", 1.0),
                (1, "C", "q1", 0.0),
                # All alike: ties. A persona that was not scored is nobody's opponent.
                (1, "A", "q2", 1.0),
                (1, "B", "q2", 1.0),
                (1, "C", "q2", NAN),
                # The same question in another round is another comparison; alone, it is none.
                (2, "A", "q1", 1.0),
                (3, "A", "q1", 0.0),
                (3, "C", "q1", 1.0),
            ]
        )
    )
    assert found.loc["A"].tolist() == [1, 1, 1]
    assert found.loc["B"].tolist() == [1, 0, 1]
    assert found.loc["C"].tolist() == [1, 1, 0]


def test_duels_agree_with_a_loop() -> None:
    rng = np.random.default_rng(1)
    rows = [
        (r, f"p{p}", f"q{q}", float(rng.choice([0.0, 1 / 3, 0.5, 1.0, NAN])))
        for r in range(20)
        for p in rng.choice(12, 5, replace=False)
        for q in range(3)
    ]
    expected = {f"p{p}": [0, 0, 0] for p in range(12)}
    for round_, persona, question, reward in rows:
        others = [
            x for r, p, q, x in rows if (r, q) == (round_, question) and p != persona and not np.isnan(x)
        ]
        if others and not np.isnan(reward):
            mean = np.mean(others)
            place = 2 if abs(reward - mean) < 1e-9 else int(reward < mean)
            expected[persona][place] += 1
    found = duels(table_of(rows))
    assert {name: found.loc[name].tolist() for name in found.index} == expected


def test_a_question_asked_again_is_no_further_evidence() -> None:
    once = [(1, "A", f"q{k}", float(k < 6)) for k in range(8)]
    again = once + [(2, *row[1:]) for row in once]
    found = learned(again, ["A", "B"])
    assert found.loc["A", "evaluations"] == 16
    assert found.loc["A", "pulls"] == 2
    expected = wilson(6, 8)
    assert (found.loc["A", "low"], found.loc["A", "high"]) == pytest.approx(
        (expected.low, expected.high)
    )


def test_fractional_rewards_have_students_interval() -> None:
    rewards = [0.2, 0.4, 0.9, 0.5]
    rows: list[Row] = [(1, "A", f"q{k}", reward) for k, reward in enumerate(rewards)]
    found = learned([*rows, (1, "B", "q0", 0.3)], ["A", "B", "C"])
    expected = stats.ttest_1samp(rewards, 0).confidence_interval()
    assert (found.loc["A", "low"], found.loc["A", "high"]) == pytest.approx(
        (expected.low, expected.high)
    )
    assert np.isnan(found.loc["B", "low"]), "one answer has no spread"
    assert found.loc["B", "reward"] == 0.3
    assert found.loc["C", ["pulls", "wins", "losses", "ties"]].tolist() == [0, 0, 0, 0]
    assert np.isnan(found.loc["C", "reward"])


def test_estimates_are_shrunk_towards_each_other() -> None:
    rng = np.random.default_rng(2)
    rows: list[Row] = [
        (1, f"p{p}", f"q{q}", float(rng.random() < 0.6)) for p in range(50) for q in range(20)
    ]
    found = learned(rows, [f"p{p}" for p in range(51)])
    assert found["shrunk"].std() < 0.5 * found["reward"].std(), "equal arms: their spread is noise"
    assert found.loc["p50", "shrunk"] == pytest.approx(found["reward"].mean(), abs=0.02)


def test_without_events_nothing_is_known() -> None:
    names = ["A", "B"]
    found = learned_table(roster(names), make_bandit("reinforce", 2, 0), pd.DataFrame())
    assert found["evaluations"].tolist() == [0, 0]
    assert found[["reward", "low", "high", "shrunk"]].isna().all(axis=None)
    assert selection_noise(BanditConfig(), found, 100) is None


def test_selection_noise_counts_no_question_twice() -> None:
    found = pd.DataFrame({"evaluations": [300] * 10, "shrunk": [0.6] * 10})
    assert selection_noise(BanditConfig(), found, 100) == pytest.approx(null_maximum(10, 100, 0.6))
    assert selection_noise(BanditConfig(), found, 1000) == pytest.approx(null_maximum(10, 300, 0.6))


def test_a_search_that_settled_does_not_lower_the_line_of_luck() -> None:
    """Nine of ten personas are right half of the time; the search went on with the tenth alone."""
    names = [f"p{p}" for p in range(10)]
    even: list[Row] = [
        (q, name, f"q{q}", float(q % 10 < 9 if name == "p0" else (q + p) % 2))
        for p, name in enumerate(names)
        for q in range(40)
    ]
    again: list[Row] = [(100 + q, "p0", f"q{q}", float(q % 10 < 9)) for q in range(40)] * 50
    config = BanditConfig()
    before = selection_noise(config, learned(even, names).reset_index(), 40)
    after = selection_noise(config, learned(even + again, names).reset_index(), 40)
    assert before is not None
    assert after == pytest.approx(before)
    assert after == pytest.approx(null_maximum(10, 40, 0.54), abs=0.01)


def test_ten_thousand_personas_and_two_hundred_thousand_events_take_seconds() -> None:
    rng = np.random.default_rng(3)
    names = np.array([f"persona {k}" for k in range(10_000)])
    size, rounds = 200, 125
    rows = pd.DataFrame(
        {
            "round": np.repeat(np.arange(rounds), size * 8),
            "persona": names[
                np.concatenate([np.repeat(rng.choice(10_000, size, False), 8) for _ in range(rounds)])
            ],
            "question": np.tile(np.arange(8), rounds * size).astype(str),
            "reward": (rng.random(rounds * size * 8) < 0.6).astype(float),
        }
    )
    people = [Persona(name, "", field=f"f{k % 80}", era=f"e{k % 6}") for k, name in enumerate(names)]
    policy = make_bandit("reinforce", 10_000, 0)
    duels(rows.head(100))
    began = time.process_time()
    met = duels(rows)
    assert time.process_time() - began < 2
    assert met.to_numpy().sum() == 200_000
    found = learned_table(people, policy, rows)
    assert time.process_time() - began < 10
    assert found["evaluations"].sum() == 200_000
