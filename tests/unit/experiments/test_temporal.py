"""Era x content on the real embedded model: planted, it is found; among unknown names there is none."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlpersona.config import ModelConfig, TemporalConfig
from rlpersona.errors import ConfigError, DataError, PersonaError, RunChangedError
from rlpersona.experiments.temporal.eras import Grid, analyse_eras, matched
from rlpersona.experiments.temporal.ratings import agreements, disputed, kinds_of, model_ratings
from rlpersona.experiments.temporal.validation import (
    ABSTENTION,
    abstains,
    ask,
    conclude,
    load_inputs,
    record_origin,
    with_way_out,
)
from rlpersona.models import load_model, nano
from rlpersona.report.temporal import temporal_lines
from rlpersona.store import Run
from rlpersona.tasks import load_questions
from rlpersona.types import ChoiceScores, Model, Prompt, Question, Score
from tests.support import Memory


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(ModelConfig())


def roster(folder: Path, modern: Sequence[str], earlier: Sequence[str], fame: float = 0.0) -> Path:
    """A CSV of two eras; each modern person is `fame` more famous than somebody earlier."""
    path = folder / "roster.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "field", "era", "fame"])
        writer.writerows([[name, "f", "Contemporary", k + fame] for k, name in enumerate(modern)])
        writer.writerows([[name, "f", "Ancient", k] for k, name in enumerate(earlier)])
    return path


def planted(folder: Path, modern: Sequence[str], earlier: Sequence[str], **more: Any) -> TemporalConfig:
    settings: dict[str, Any] = {
        "benchmark": "nano",
        "domains": ("math", "fact"),
        "question_limit": 120,
        "labels": ("domain",),
        "modern": "fact",
        "timeless": "math",
        "personas": str(roster(folder, modern, earlier, 0.2)),
        "persona_sample": "random",
        "chunk": 5,
        **more,
    }
    return TemporalConfig(**settings)


def group(name: str) -> list[str]:
    return [persona.name for persona in nano.personas() if persona.group == name]


def concluded(config: TemporalConfig, folder: Path, model: Model) -> dict[str, Any]:
    inputs, run = load_inputs(config), Run(folder / "run")
    ratings, seconds = ask(config, inputs, run, Memory(), model)
    return conclude(config, inputs, run, ratings, seconds)


def test_a_planted_interaction_is_found(tmp_path: Path, model: Model) -> None:
    """Scholars, here the modern ones, know facts; scientists sums. Fame has nothing to do with it."""
    config = planted(tmp_path, group("scholar"), group("scientist"))
    summary = concluded(config, tmp_path, model)
    interaction = summary["effects"]["accuracy"]["interaction"]
    assert interaction["low"] > 0.3
    assert summary["significant"]
    assert summary["verdict"].startswith("People of modern eras gain on modern questions")
    assert summary["effects"]["accuracy"]["era_modern"]["low"] > 0
    assert summary["effects"]["accuracy"]["era_timeless"]["high"] < 0
    assert summary["fame"]["interaction"]["low"] > 0.3
    assert summary["pairs"]["pairs"] == 6
    assert summary["pairs"]["difference"] == pytest.approx(0.2)
    assert summary["pairs"]["interaction"]["low"] > 0.3
    assert summary["personas"] == {"earlier": 6, "modern": 6}
    assert sum(summary["questions"].values()) == 120
    table = pd.read_parquet(tmp_path / "run" / "answers.parquet")
    assert len(table) == summary["evaluations"] == 12 * 120
    # The contrast is what a reader of the table works out by hand.
    means = table.groupby(["era", "kind"])["reward"].mean()
    by_hand = (
        means["modern", "modern"]
        - means["modern", "timeless"]
        - means["earlier", "modern"]
        + means["earlier", "timeless"]
    )
    assert interaction["estimate"] == pytest.approx(by_hand)
    assert all(0 <= c["accuracy"]["low"] < c["accuracy"]["high"] <= 1 for c in summary["cells"])
    lines = temporal_lines(summary)
    assert lines[0] == summary["verdict"]
    assert any("era x content" in line and f"{100 * by_hand:+.1f} points" in line for line in lines)
    assert max(map(len, lines[1:])) <= 120


def test_unknown_names_have_no_era(tmp_path: Path, model: Model) -> None:
    names = [persona.name for persona in nano.bystanders(16, 5)]
    summary = concluded(planted(tmp_path, names[:8], names[8:]), tmp_path, model)
    interaction = summary["effects"]["accuracy"]["interaction"]
    assert interaction["low"] <= 0 <= interaction["high"]
    assert not summary["significant"]
    assert summary["verdict"].startswith("No era x content interaction is shown")


@pytest.mark.parametrize("stop", [1, 2])
def test_interrupted_after_any_checkpoint_ends_the_same(stop: int, tmp_path: Path, model: Model) -> None:
    config = planted(tmp_path, group("scholar"), group("scientist"), question_limit=80)
    inputs, whole, torn = load_inputs(config), Run(tmp_path / "whole"), Run(tmp_path / "torn")
    ask(config, inputs, whole, Memory(), model)
    memory = Memory(stop)
    with pytest.raises(InterruptedError):
        ask(config, inputs, torn, memory, model)
    torn.save_events(99, 99, pd.DataFrame({"round": [99], "persona": ["written before the crash"]}))
    memory.stop_after = None
    ask(config, inputs, torn, memory, model)
    pd.testing.assert_frame_equal(torn.events(), whole.events())


def test_abstentions_are_counted_apart(tmp_path: Path, model: Model) -> None:
    config = planted(
        tmp_path, group("scholar"), group("liar"), question_limit=40, abstain=True, normalise="none"
    )
    inputs = load_inputs(config)
    assert all(question.choices[-1] == ABSTENTION for question in inputs.questions)
    run = Run(tmp_path / "run")
    ratings, seconds = ask(config, inputs, run, Memory(), model)
    events = run.events()
    # The old liars do not answer modern questions, and are as right as ever where they do.
    silent = (events["era"] == "earlier") & (events["kind"] == "modern")
    silent &= events["question"].isin(sorted(events["question"].unique())[::2])
    events.loc[silent, ["reward", "answered"]] = 0.0
    run.rewind(0)
    run.save_events(1, 1, events)
    summary = conclude(config, inputs, run, ratings, seconds)
    cell = next(c for c in summary["cells"] if (c["era"], c["kind"]) == ("earlier", "modern"))
    part = events[(events["era"] == "earlier") & (events["kind"] == "modern")]
    assert cell["accuracy"]["estimate"] == pytest.approx(part["reward"].mean())
    assert cell["answer_rate"]["estimate"] == pytest.approx(part["answered"].mean())
    assert cell["answer_rate"]["estimate"] < 0.8
    ratio = part["reward"].sum() / part["answered"].sum()
    assert cell["conditional"]["estimate"] == pytest.approx(ratio)
    assert set(summary["effects"]) == {"accuracy", "answer_rate", "conditional"}
    assert summary["abstained_share"] == pytest.approx(1 - events["answered"].mean())
    assert any("Differences in answers given" in line for line in temporal_lines(summary))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("I don't know.", True),
        ("I do not know", True),
        ("Sorry, I can't say.", True),
        ("I'm not sure, maybe Paris", True),
        ("Unknown", True),
        ("The Unknown Soldier", False),
        ("Unknown Pleasures", False),
        ("Paris", False),
        ("I know: Paris", False),
    ],
)
def test_what_abstains(said: str, expected: bool) -> None:
    opened, closed = Question("a", "Where?", "Paris"), Question("b", "Where?", "Paris", ("Paris", said))
    assert abstains(Score(0.0, False, said), opened) is expected
    assert not abstains(Score(0.0, False, said), closed), "a choice of the benchmark is an answer"
    assert abstains(Score(0.0, False, ABSTENTION), with_way_out(closed))
    assert not abstains(Score(None, error="cut off"), opened)


RATINGS = {
    "one": {"a": "modern", "b": "modern", "c": "timeless", "d": "timeless", "e": "modern", "f": "odd"},
    "two": {"a": "modern", "b": "modern", "c": "timeless", "d": "timeless", "e": "timeless", "f": "odd"},
}


def test_only_what_all_raters_agree_on_is_used() -> None:
    kinds = kinds_of(RATINGS, TemporalConfig())
    assert kinds == {"a": "modern", "b": "modern", "c": "timeless", "d": "timeless"}
    (found,) = agreements(RATINGS, 0.95)
    assert found["share"]["estimate"] == pytest.approx(5 / 6)
    # p_e = (3 * 2 + 2 * 3 + 1 * 1) / 36
    assert found["kappa"]["estimate"] == pytest.approx((5 / 6 - 13 / 36) / (1 - 13 / 36))
    assert agreements({"one": RATINGS["one"]}, 0.95) == []
    assert disputed(RATINGS) == 1
    assert disputed({"one": RATINGS["one"]}) == 0
    with pytest.raises(DataError, match="0 modern and 2 timeless"):
        kinds_of({"one": {"a": "old", "c": "timeless", "d": "timeless"}}, TemporalConfig())


class YesSayer:
    """A model that finds Yes likelier, whatever it is asked, and keeps the prompts."""

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []

    def score_choices(
        self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]], adapter: str | None = None
    ) -> list[ChoiceScores]:
        self.prompts += prompts
        return [ChoiceScores((-0.1, -2.0), (1, 1)) for _ in prompts]


def test_a_model_that_says_yes_to_everything_agrees_with_itself_on_nothing() -> None:
    questions = [Question(f"q{k}", f"Who is {{{k}}}?", "X", ("X", "Y")) for k in range(6)]
    rater = YesSayer()
    ratings = model_ratings(TemporalConfig(), questions, rater)  # type: ignore[arg-type]
    assert len(ratings) == 2
    (found,) = agreements(ratings, 0.95)
    assert found["share"]["estimate"] == 0
    with pytest.raises(DataError, match="agreed: 0 modern"):
        kinds_of(ratings, TemporalConfig())
    for prompt in rater.prompts:
        assert [message.role for message in prompt.messages] == ["user"], "raters see no persona"
        assert "Who is {" in prompt.messages[0].content
        assert "X" not in prompt.messages[0].content, "nor the choices"


def test_the_embedded_model_rates_without_failing(model: Model) -> None:
    inputs = [Question("q", "What is two plus two?", "four", ("four", "five"), source="nano")]
    ratings = model_ratings(TemporalConfig(), inputs, model)
    assert all(set(found.values()) <= {"modern", "timeless"} for found in ratings.values())


def test_mistakes_are_named(tmp_path: Path) -> None:
    scholars, scientists = group("scholar"), group("scientist")
    good = planted(tmp_path, scholars, scientists)
    bad: list[tuple[dict[str, Any], type[PersonaError], str]] = [
        ({"modern_eras": ("Contemporray",)}, ConfigError, "Contemporray"),
        ({"earlier_eras": ("Ancinet",)}, ConfigError, "Ancinet"),
        ({"modern": "facts"}, DataError, "0 modern"),
        ({"labels": ("category",)}, DataError, "no question of nano is labelled"),
        ({"labels": (str(tmp_path / "none.csv"),)}, DataError, "none.csv"),
        ({"personas": "nano"}, DataError, "0 of 42 personas are of earlier eras"),
    ]
    for change, error, said in bad:
        with pytest.raises(error, match=said):
            load_inputs(good.model_copy(update=change))


def test_a_resumed_run_refuses_other_labels(tmp_path: Path) -> None:
    config = planted(tmp_path, group("scholar"), group("scientist"), question_limit=80)
    inputs, run = load_inputs(config), Run(tmp_path / "run")
    record_origin(run, inputs)
    record_origin(run, inputs)
    turned = {name: dict.fromkeys(labels, "fact") for name, labels in inputs.ratings.items()}
    with pytest.raises(RunChangedError, match="its labels changed"):
        record_origin(run, replace(inputs, ratings=turned))


def test_two_files_of_labels_are_two_raters(shared_data: Path) -> None:
    files = sorted((shared_data / "hellaswag").glob("hellaswag_temporal_classifications*.csv.gz"))
    config = TemporalConfig(
        data=str(files[0]), labels=tuple(map(str, files)), personas="notable", persona_limit=20
    )
    inputs = load_inputs(config)
    (found,) = agreements(inputs.ratings, 0.95)
    assert found["share"]["n"] == 500
    assert 0.8 < found["kappa"]["estimate"] < 1
    kinds = kinds_of(inputs.ratings, config)
    assert len(kinds) == len(inputs.questions) == 470
    assert disputed(inputs.ratings) == 30
    assert sorted(inputs.sides) == [0] * 10 + [1] * 10
    fame = np.array([persona.fame for persona in inputs.personas], dtype=float)
    sides = np.array(inputs.sides)
    assert abs(fame[sides == 1].mean() - fame[sides == 0].mean()) < 0.5, "matched in fame"


def test_configs_that_cannot_be() -> None:
    for wrong in (
        {"modern": "x", "timeless": "X"},
        {"modern_eras": ("A",), "earlier_eras": ("A",)},
        {"labels": ()},
        {"prefix": "You."},
    ):
        with pytest.raises(ValueError, match=r".+"):
            TemporalConfig(**wrong)  # type: ignore[arg-type]
    assert TemporalConfig(labels="a.csv, b.csv").labels == ("a.csv", "b.csv")  # type: ignore[arg-type]


def grid(correct: np.ndarray, fame: np.ndarray, fields: list[str | None] | None = None) -> Grid:
    people, questions = correct.shape
    answered = np.ones_like(correct)
    era, kind = np.arange(people) % 2, np.arange(questions) % 2
    return Grid(correct, answered, era, kind, fame, fields or ["f"] * people)


def test_answers_without_spread_are_no_certainty() -> None:
    found = analyse_eras(grid(np.ones((6, 20)), np.full(6, np.nan)), 0.95, 0.5)
    interaction = found["effects"]["accuracy"]["interaction"]
    assert interaction["p"] == 1
    # Either half of the questions may hide as much: six people, of whom a share did not come up.
    assert interaction["high"] == pytest.approx(2 * (1 - 0.025 ** (1 / 6)))
    assert found["effects"]["accuracy"]["era"]["high"] == pytest.approx(1 - 0.025 ** (1 / 6))
    assert found["cells"][0]["accuracy"]["high"] == 1
    assert found["cells"][0]["accuracy"]["low"] < 0.7
    assert found["fame"] is None
    assert found["pairs"] is None
    json.dumps(found, allow_nan=False)


def test_a_half_without_spread_is_no_certainty_of_the_whole() -> None:
    """Everybody is right on all modern questions; only the timeless ones tell people apart."""
    correct = np.ones((12, 100))
    correct[:, ::2] = np.random.default_rng(0).random((12, 50)) < 0.5
    found = analyse_eras(grid(correct, np.full(12, np.nan)), 0.95, 0.5)
    effects = found["effects"]["accuracy"]
    reach = 1 - 0.025 ** (1 / 12)
    modern, timeless, both = (effects[name] for name in ("era_modern", "era_timeless", "interaction"))
    assert modern["high"] == pytest.approx(reach)
    assert both["estimate"] == pytest.approx(-timeless["estimate"])
    above, below = both["high"] - both["estimate"], both["estimate"] - both["low"]
    # But for the degrees of freedom, to which the silent questions add.
    assert above == pytest.approx(timeless["estimate"] - timeless["low"] + reach, rel=0.01)
    assert below == pytest.approx(timeless["high"] - timeless["estimate"] + reach, rel=0.01)


def test_p_values_of_what_has_no_spread_say_what_their_intervals_say() -> None:
    for share in (0.0, 0.1, 0.6, 1.0):
        modern = np.arange(8) % 2 == 1
        correct = np.zeros((8, 40))
        correct[np.ix_(modern, np.arange(40) % 2 == 1)] = share
        found = analyse_eras(grid(correct, np.full(8, np.nan)), 0.95, 0.5)["effects"]["accuracy"]
        for one in (found["era_modern"], found["interaction"]):
            assert (one["p"] < 0.05) == (one["low"] > 0), share
    # Four against four, all as far apart as can be: the sign test's chance.
    assert found["era_modern"]["p"] == pytest.approx(2 * 0.5**8)


def test_the_limit_counts_labelled_questions(tmp_path: Path) -> None:
    names = group("scholar"), group("scientist")
    everything = load_inputs(planted(tmp_path, *names, question_limit=None))
    labels = tmp_path / "labels.csv"
    picked = everything.questions[::3]
    rows = [f"{q.id},{('fact', 'math')[k % 2]}" for k, q in enumerate(picked)]
    labels.write_text("\n".join(["id,category", *rows]) + "\n")
    config = planted(tmp_path, *names, labels=(str(labels),), question_limit=60)
    inputs = load_inputs(config)
    assert len(inputs.questions) == 60 < len(picked)
    assert {q.id for q in inputs.questions} <= {q.id for q in picked}
    assert all(set(found) == {q.id for q in inputs.questions} for found in inputs.ratings.values())
    # Where all have labels, or the model gives them, it is the sample that the benchmark draws.
    drawn = load_questions("nano", seed=config.seed, limit=60, domains=config.domains)
    for raters in (("domain",), ("model",)):
        found = load_inputs(config.model_copy(update={"labels": raters})).questions
        assert [q.id for q in found] == [q.id for q in drawn]


def test_nothing_scored_is_said() -> None:
    empty = grid(np.full((4, 6), np.nan), np.arange(4.0))
    found = analyse_eras(replace(empty, answered=np.full((4, 6), np.nan)), 0.95, 0.5)
    assert found["verdict"].startswith("Nothing could be measured")
    assert found["significant"] is False
    json.dumps(found, allow_nan=False)


def test_pairs_are_of_one_field_and_near_in_fame() -> None:
    fame = np.array([1.0, 1.1, 5.0, 2.0, 3.0, 3.05, 0.0, 9.0])
    fields: list[str | None] = ["a", "a", "a", "a", "b", "b", "b", "a"]
    # Old ones stand at even places: 0 with 1; 2 has nobody near; 4 with 5; 6 nobody left.
    world = grid(np.zeros((8, 4)), fame, fields)
    assert matched(world, 0.2) == [(0, 1), (4, 5)]
    assert matched(replace(world, fame=np.full(8, np.nan)), 0.2) == []


def test_fame_that_explains_the_interaction_takes_it_away() -> None:
    """The famous know modern things, and modern people are famous; era has nothing to do with it."""
    rng = np.random.default_rng(0)
    people, questions = 80, 60
    fame = rng.normal(size=people) + 1.5 * (np.arange(people) % 2)
    logit = np.outer(fame, np.arange(questions) % 2) + rng.normal(size=questions)
    correct = (rng.random((people, questions)) < 1 / (1 + np.exp(-logit))).astype(float)
    found = analyse_eras(grid(correct, fame), 0.95, 0.2)
    assert found["effects"]["accuracy"]["interaction"]["low"] > 0
    held = found["fame"]["interaction"]
    assert held["low"] < 0 < held["high"]
    assert found["pairs"]["interaction"]["low"] < 0 < found["pairs"]["interaction"]["high"]
    assert "where it is not shown" in found["verdict"]
