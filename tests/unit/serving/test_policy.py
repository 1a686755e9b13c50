"""The live policy: true to its search, alike in all replicas, moved by rewards and by nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpersona.config import ModelConfig
from rlpersona.errors import DataError, RunError
from rlpersona.experiments.bandit.evaluation import evaluate
from rlpersona.models.hf import HFModel
from rlpersona.serving.book import Book, book_path
from rlpersona.serving.feedback import FeedbackBook
from rlpersona.serving.policy import bandit_config, live_policy
from rlpersona.store import Run
from rlpersona.tasks.identity import unit
from rlpersona.tasks.nano import questions
from tests.unit.serving.served_runs import bandit_run

SEARCHED = 12  # updates of the search before it is served
UNIFORM = 6 / 42  # six scientists among the 42 personas of the nano world


def served(root: Path, name: str, answers: int, reward: Any) -> dict[str, float]:
    """Probabilities after so many answers, each rewarded by `reward(number, persona)`."""
    policy, feedback = live_policy(Run(root / name)), FeedbackBook(root, [name])
    for n in range(answers):
        _, persona = policy.draw(f"{name} {n}")
        feedback.record(f"{name} {n}", reward(n, persona))
    return policy.probabilities()


@pytest.mark.parametrize(
    "algorithm",
    ["reinforce", "exp3", "probability", "thompson", "ucb", "epsilon-greedy", "linear-thompson"],
)
def test_it_begins_as_its_search_ended(tmp_path: Path, algorithm: str) -> None:
    run, personas, bandit = bandit_run(tmp_path, algorithm=algorithm, updates=SEARCHED, arms_per_round=8)
    policy = live_policy(run)
    assert policy.state()["policy"] == bandit.state_dict()
    learned = dict(zip([p.name for p in personas], bandit.probabilities().tolist(), strict=True))
    assert policy.probabilities() == learned


def test_draws_follow_the_learned_policy(tmp_path: Path) -> None:
    run, personas, bandit = bandit_run(tmp_path, updates=40, params={"lr": 0.3})
    policy, expected = live_policy(run), bandit.probabilities()
    draws = [policy.draw(f"response {n}")[0] for n in range(600)]
    counts = np.bincount([draw.arm for draw in draws], minlength=len(personas))
    likely = expected > 5 / 600
    observed = np.append(counts[likely], counts[~likely].sum())
    wanted = 600 * np.append(expected[likely], expected[~likely].sum())
    chi2 = ((observed - wanted) ** 2 / wanted).sum()
    freedom = len(wanted) - 1
    assert expected.max() > 2 / len(personas), "else any policy would pass"
    assert chi2 < freedom + 4 * np.sqrt(2 * freedom)
    assert [draw.chance for draw in draws] == [expected[draw.arm] for draw in draws]
    assert policy.state()["policy"] == bandit.state_dict(), "a draw changes nothing"


@pytest.mark.parametrize("algorithm", ["reinforce", "exp3", "thompson", "epsilon-greedy"])
def test_replicas_agree_bit_for_bit_and_so_does_one_that_starts_late(
    tmp_path: Path, algorithm: str
) -> None:
    run, _, _ = bandit_run(tmp_path, algorithm=algorithm, updates=SEARCHED)
    first, second = live_policy(run), live_policy(run)
    feedback = FeedbackBook(tmp_path, ["search"])
    for n in range(50):
        (first if n % 3 else second).draw(f"r{n}")
        if n % 7:
            feedback.record(f"r{n}", unit("reward", n))
        assert n % 10 or first.state() == second.state()
    late = live_policy(run)
    assert first.state() == second.state() == late.state()
    assert first.draw("next")[0] == late.draw("next")[0] == second.draw("next")[0]


def test_rewards_are_learned_as_late_updates_of_the_size_of_a_round(tmp_path: Path) -> None:
    """Against the bandit itself, fed by hand: groups of `arms_per_round`, with the draws' chances."""
    run, _, bandit = bandit_run(tmp_path, updates=SEARCHED, arms_per_round=5)
    policy, feedback = live_policy(run), FeedbackBook(tmp_path, ["search"])
    draws = [policy.draw(f"r{n}")[0] for n in range(13)]  # all from the policy of the search
    for n in reversed(range(13)):
        feedback.record(f"r{n}", unit(n))
    for group in (range(12, 7, -1), range(7, 2, -1)):
        bandit.update(
            [draws[n].arm for n in group],
            [unit(n) for n in group],
            [float(draws[n].chance or 0) for n in group],
        )
    state = policy.state()
    assert state["policy"] == bandit.state_dict()
    assert state["seen"] == 13
    assert state["waiting"] == [[draws[n].arm, unit(n), draws[n].chance] for n in (2, 1, 0)]


def test_a_policy_with_a_plan_goes_on_from_its_counts(tmp_path: Path) -> None:
    run, _, bandit = bandit_run(tmp_path, algorithm="uniform", updates=20)
    state = live_policy(run).state()["policy"]
    assert state["name"] == "thompson"
    assert (state["counts"], state["sums"]) == (bandit.counts.tolist(), bandit.sums.tolist())


@pytest.mark.parametrize("torn", [False, True])
def test_without_checkpoints_it_begins_at_the_stored_probabilities(tmp_path: Path, torn: bool) -> None:
    run, _, bandit = bandit_run(tmp_path, updates=SEARCHED)
    if torn:
        (run.checkpoints / "checkpoint_1" / "state.json").write_text('{"round": 12, "pol')
    else:
        shutil.rmtree(run.checkpoints)
    found = list(live_policy(run).probabilities().values())
    assert found == pytest.approx(bandit.probabilities().tolist(), rel=1e-12)


def test_feedback_of_another_policy_is_refused(tmp_path: Path) -> None:
    run, _, _ = bandit_run(tmp_path, updates=SEARCHED)
    live_policy(run).draw("r")
    shutil.rmtree(run.checkpoints)
    with pytest.raises(DataError, match="feedback for another policy"):
        live_policy(run)


def test_another_roster_than_that_of_the_search_is_refused(tmp_path: Path) -> None:
    roster = tmp_path / "people.csv"
    roster.write_text("name,system\nAda,You are Ada.\nBob,You are Bob.\n")
    run, _, _ = bandit_run(tmp_path / "runs", roster=roster, personas=str(roster), arms_per_round=2)
    assert live_policy(run).personas[0].system == "You are Ada."
    roster.write_text("name,system\nAda,You are Ada!\nBob,You are Bob.\n")
    with pytest.raises(DataError, match="not the one that run 'search' worked on"):
        live_policy(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: (run.folder / "summary.json").unlink(), "not finished"),
        (lambda run: run.write_text("config.yaml", "experiment: axis\n"), "is a axis: it has no policy"),
        (lambda run: run.write_text("config.yaml", "experiment: bandit\nsearch: false\n"), "baselines"),
    ],
)
def test_a_run_without_a_policy_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    run, _, _ = bandit_run(tmp_path)
    change(run)
    with pytest.raises(RunError, match=message):
        bandit_config(run)


def test_ten_thousand_personas(tmp_path: Path) -> None:
    run, people, _ = bandit_run(tmp_path, personas="notable", arms_per_round=4)
    policy, feedback = live_policy(run), FeedbackBook(tmp_path, ["search"])
    assert len(people) > 10_000
    for n in range(8):
        policy.draw(f"r{n}")
        feedback.record(f"r{n}", n % 2)
    assert policy.state() == live_policy(run).state()
    assert sum(policy.probabilities().values()) == pytest.approx(1)


@pytest.fixture(scope="module")
def earned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """What each persona of the nano world earns on 12 sums: its scientists are the ones who know."""
    run, people, _ = bandit_run(tmp_path_factory.mktemp("truth"))
    model = HFModel(ModelConfig())
    scores = evaluate(model, people, questions(("math",))[:12], bandit_config(run), "accuracy")
    model.close()
    return {
        person.name: [float(score.reward or 0) for score in row]
        for person, row in zip(people, scores, strict=True)
    }


@pytest.mark.parametrize("algorithm", ["reinforce", "thompson"])
def test_rewards_move_it_to_those_who_know(
    tmp_path: Path, earned: dict[str, list[float]], algorithm: str
) -> None:
    params = {"lr": 0.15} if algorithm == "reinforce" else {}
    _, people, _ = bandit_run(tmp_path, algorithm=algorithm, params=params)
    learned = served(tmp_path, "search", 480, lambda n, persona: earned[persona.name][n % 12])
    scientists = [person.name for person in people if person.group == "scientist"]
    assert len(scientists) / len(people) == pytest.approx(UNIFORM)
    assert sum(learned[name] for name in scientists) > 4 * UNIFORM


def test_coin_flips_move_it_to_nobody(tmp_path: Path) -> None:
    """Over six services the scientists keep their share within four standard errors, and nobody gets a
    fifth of the probability in any."""
    shares, largest = [], []
    for life in range(6):
        name = f"life-{life}"
        _, people, _ = bandit_run(tmp_path, name, params={"lr": 0.15})
        learned = served(tmp_path, name, 240, lambda n, _, k=life: float(unit("coin", k, n) < 0.5))
        shares.append(sum(learned[p.name] for p in people if p.group == "scientist"))
        largest.append(max(learned.values()))
    error = np.std(shares, ddof=1) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - UNIFORM) < 4 * error
    assert max(largest) < 0.2


def test_a_book_of_something_else_is_refused(tmp_path: Path) -> None:
    run, _, _ = bandit_run(tmp_path)
    path = book_path(run)
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to have a header" * 20)
    with pytest.raises(DataError, match=r"torn|no feedback") as caught:
        Book.open(path)
    assert "move it away: the policy" in caught.value.hint
