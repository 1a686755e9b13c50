"""The measurement on fresh questions, with the real embedded model: roles, controls, transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rlpersona.bandits import Bandit, make_bandit
from rlpersona.config import BanditConfig, ValidationConfig
from rlpersona.experiments.bandit.search import load_inputs
from rlpersona.experiments.bandit.validation import chance, roles_of, validate
from rlpersona.models import load_model
from rlpersona.store import Run
from rlpersona.types import Model, Persona, Question

BEST = "Isaac Newton"


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(BanditConfig().model)


def knowing(personas: list[Persona], best: str) -> Bandit:
    """A policy that has learned who is best."""
    policy = make_bandit("reinforce", len(personas), 0, lr=1.0)
    arm = [persona.name for persona in personas].index(best)
    policy.update([arm, arm, (arm + 1) % len(personas)], [1.0, 1.0, 0.0])
    assert policy.ranking(1)[0] == arm
    return policy


def validated(model: Model, folder: Path, config: BanditConfig) -> tuple[dict[str, Any], pd.DataFrame]:
    inputs = load_inputs(config)
    run = Run(folder)
    if config.search:
        event = {"round": 1, "persona": BEST, "question": "q", "reward": 1.0}
        run.save_events(1, 1, pd.DataFrame([event]))
        run.append_metrics({"round": 1})
    summary = validate(config, inputs, run, knowing(inputs.personas, BEST), model, 1.0)
    return summary, pd.read_parquet(folder / "validation.parquet")


SMALL = ValidationConfig(questions=120, winners=2, random=3)


def test_everybody_answers_every_fresh_question(model: Model, tmp_path: Path) -> None:
    config = BanditConfig(
        domains=("math",), validation=SMALL, transfer="nano/fact", transfer_questions=60
    )
    summary, table = validated(model, tmp_path, config)
    counts = table.groupby(["benchmark", "role"])["persona"].nunique().to_dict()
    roles = {"control": 1, "winner": 2, "random": 3, "empty": 1, "nonsense": 2}
    assert counts == {
        (place, role): n for place in ("nano/math", "nano/fact") for role, n in roles.items()
    }
    asked = table.groupby(["benchmark", "role", "persona"])["question"].nunique()
    assert set(asked["nano/math"]) == {120}
    assert set(asked["nano/fact"]) == {60}
    (elsewhere,) = summary["transfer"]
    assert (elsewhere["benchmark"], elsewhere["questions"]) == ("nano/fact", 60)
    # A scientist is planted to be good at sums and as good as anybody at facts.
    assert summary["winners"][0]["gain"]["low"] > 0.2
    assert elsewhere["winners"][0]["persona"] == BEST
    assert elsewhere["winners"][0]["gain"]["low"] < 0.05


def test_a_planted_persona_beats_invented_names(model: Model, tmp_path: Path) -> None:
    summary, _ = validated(model, tmp_path, BanditConfig(domains=("math",), validation=SMALL))
    newton = summary["winners"][0]
    assert newton["persona"] == BEST
    assert newton["over_nonsense"]["low"] > 0.2
    assert newton["over_nonsense"]["personas"] == 2
    assert newton["over_random"]["personas"] == 3
    assert not newton["equivalence"]["equivalent"]
    assert [record["role"] for record in summary["baselines"]] == ["empty", "nonsense", "nonsense"]
    assert summary["verdict"].startswith(f"{BEST} answers better than no persona: +")
    assert "beyond invented names" in summary["verdict"]
    assert summary["margin"] == 0.03
    assert summary["chance"] == 0.25  # sums have four choices
    assert summary["equivalent"] is False


def test_without_a_search_the_baselines_are_measured(model: Model, tmp_path: Path) -> None:
    config = BanditConfig(domains=("math",), validation=SMALL, search=False)
    summary, table = validated(model, tmp_path, config)
    assert summary["winners"] == []
    assert summary["rounds"] == 0
    assert summary["null_maximum"] is None
    assert set(table["role"]) == {"control", "random", "empty", "nonsense"}
    assert summary["verdict"].startswith("Baselines only: without a persona")
    assert summary["equivalent"] is False


def test_without_baseline_no_gain_is_claimed(model: Model, tmp_path: Path) -> None:
    chosen = SMALL.model_copy(update={"baseline": False, "controls": ()})
    summary, table = validated(model, tmp_path, BanditConfig(domains=("math",), validation=chosen))
    assert set(table["role"]) == {"winner", "random"}
    newton = summary["winners"][0]
    assert newton["gain"] is None
    assert newton["accuracy"]["n"] == 120
    assert newton["over_random"] is not None
    assert summary["control"] is None
    assert summary["significant"] is False
    assert summary["verdict"].startswith("No baseline was measured: ")


def test_names_too_short_to_imitate_cost_no_run() -> None:
    config = BanditConfig(validation=SMALL)
    people = [Persona(letter, f"You are {letter}.") for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    with pytest.warns(UserWarning, match="no nonsense control"):
        roles = roles_of(config, people, people)
    assert {role for role, _ in roles} == {"control", "winner", "random", "empty"}


def test_chance_is_that_of_guessing_among_the_choices() -> None:
    two, four, open_ended = (
        Question(f"q{n}", f"{n}?", "0", tuple(map(str, range(n)))) for n in (2, 4, 0)
    )
    assert chance(BanditConfig(), [two, four]) == pytest.approx(3 / 8)
    assert chance(BanditConfig(), [two, open_ended]) is None
    assert chance(BanditConfig(reward="judged"), [two, four]) is None
