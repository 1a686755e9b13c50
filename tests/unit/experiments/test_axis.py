"""Vectors of planted activations, adherence by rules and by a judge, and what is refused beforehand."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from rlpersona.axis.roles import DEFAULT, Role, Trait
from rlpersona.axis.vectors import cosine
from rlpersona.config import AxisConfig, JudgeConfig
from rlpersona.errors import ConfigError, DataError, RunError
from rlpersona.experiments.axis import castings
from rlpersona.experiments.axis.adherence import ratings_of, rule_rating
from rlpersona.experiments.axis.analysis import analyse, distances_apart, separation
from rlpersona.experiments.axis.castings import Casting, castings_of
from rlpersona.experiments.axis.data import VECTORS, read_answers, save_axis
from rlpersona.experiments.axis.pipeline import load_axis, load_inputs
from rlpersona.experiments.axis.vectors import Placed, make_vectors
from rlpersona.judges.asking import JudgeModel
from rlpersona.judges.pairwise import ApiJudge
from rlpersona.judges.rules import RuleJudge
from rlpersona.models.nano.world.answers import answer
from rlpersona.models.nano.world.items import DOMAINS, items
from rlpersona.models.nano.world.personas import NAMES, PLANTED
from rlpersona.report.axis import write_axis_report
from rlpersona.store import Run, opened
from rlpersona.tasks.nano import questions
from tests.unit.judges.replying import Replying

LAYERS, WIDTH, LAYER = 4, 8, 2
QUESTIONS = tuple(questions(("math", "fact"), per_domain=15))
AXIS = np.eye(WIDTH)[3]


def world(run: Run, config: AxisConfig, shift: float, spread: float = 0.5) -> list[Casting]:
    """A run folder with made activations: noise of questions and responses, a place for each role, and
    the default `shift` further along `AXIS`. Of the last role only every eighth response counts."""
    draw = np.random.default_rng(0)
    cast = [Role(f"role {k}", (f"{k}.0", f"{k}.1")) for k in range(6)]
    default = Role(DEFAULT, ("0", "1"))
    found = castings_of(default, cast, [Trait("tall", ("up",), ("down",))], QUESTIONS)
    by_question = draw.normal(0, 1, (len(QUESTIONS), LAYERS, WIDTH))
    for one in found:
        n = len(one.asked)
        own = draw.normal(0, 1, (LAYERS, WIDTH)) * spread * (one.role.name != DEFAULT)
        values = np.tile(by_question, (n // len(QUESTIONS), 1, 1)) + draw.normal(
            0, 1, (n, LAYERS, WIDTH)
        )
        values += own + shift * AXIS * (one.role.name == DEFAULT)
        values += AXIS * {"positive": 3, "negative": -3}.get(one.folder.rpartition("/")[2], 0)
        table = pd.DataFrame(
            [
                {"role": one.role.name, "prompt": at, "question": q.id, "asked": q.text, "text": "It."}
                for at, q in one.asked
            ]
        )
        run.write_table(f"{one.folder}/{castings.RESPONSES}", table)
        save_file(
            {castings.TENSOR: values.astype(np.float32)}, run.folder / one.folder / castings.ACTIVATIONS
        )
        if one.role in cast:
            scores = np.where(np.arange(n) % 8 == 0, 3, 1 if one.role is cast[-1] else 3)
            rated = table[["role", "prompt", "question"]].assign(error=None, key="")
            rated["score"] = pd.array(scores, dtype="Int64")
            rated.loc[0, ["score", "error"]] = [pd.NA, "unparsed"]
            run.write_table(f"{one.folder}/{castings.RATINGS}", rated)
    return found


@pytest.fixture
def config() -> AxisConfig:
    return AxisConfig(least=20)


@pytest.fixture
def planted(tmp_path: Path, config: AxisConfig) -> tuple[Run, list[Casting]]:
    with opened(tmp_path, config) as run:
        return run, world(run, config, shift=4.0)


def stored(run: Run, casting: Casting) -> np.ndarray[Any, Any]:
    return castings.activations_of(run, casting)


def test_vectors_are_means_of_what_counts(
    planted: tuple[Run, list[Casting]], config: AxisConfig
) -> None:
    run, found = planted
    made = make_vectors(config, run, found, LAYER, "hash")
    assert made.data.names == tuple(f"role {k}" for k in range(5))
    first = stored(run, found[1])[1:].astype(np.float64)  # the first response has no rating
    np.testing.assert_allclose(made.data.vectors[0], first.mean(axis=0), atol=1e-6)
    default = stored(run, found[0]).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(made.data.default, default, atol=1e-6)
    expected = default - made.data.vectors.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(made.data.axis, expected, atol=1e-5)
    assert (cosine(made.data.axis, AXIS) > 0.9).all()
    assert (cosine(made.data.trait_map["tall"], AXIS) > 0.85).all()


def test_a_role_that_hardly_played_has_no_vector_and_is_reported(
    planted: tuple[Run, list[Casting]], config: AxisConfig
) -> None:
    run, found = planted
    made = make_vectors(config, run, found, LAYER, "hash")
    (cast,) = made.without
    assert (cast.name, cast.responses, cast.kept, cast.unrated) == ("role 5", 60, 7, 1)
    with pytest.raises(DataError, match="0 of 6 roles have 61 responses"):
        make_vectors(config.model_copy(update={"least": 61}), run, found, LAYER, "hash")


def test_halves_hold_every_other_question(
    planted: tuple[Run, list[Casting]], config: AxisConfig
) -> None:
    run, found = planted
    half = make_vectors(config, run, found, LAYER, "hash").default.halves[1]
    values = stored(run, found[0]).reshape(2, len(QUESTIONS), LAYERS, WIDTH)[:, 1::2]
    np.testing.assert_allclose(half, values.mean(axis=(0, 1), dtype=np.float64), atol=1e-6)


def test_the_summary_of_a_planted_axis(planted: tuple[Run, list[Casting]], config: AxisConfig) -> None:
    run, found = planted
    made = make_vectors(config, run, found, LAYER, "hash")
    summary, table = analyse(config, run, made)
    here = summary["layers"][LAYER]
    assert here["separation"]["low"] > 0.9
    assert (here["separation"]["roles"], here["separation"]["questions"]) == (5, 30)
    assert here["distance"] > max(here["roles_apart"]["median"], 4)
    assert here["roles_apart"]["farther"] == 0
    assert "separates the assistant" in summary["verdict"]
    assert summary["unrated"] == 6
    assert [one["name"] for one in summary["without"]] == ["role 5"]
    places = [one["projection"]["estimate"] for one in summary["roles"]]
    assert np.isclose(np.mean(places), 0, atol=0.15)
    assert summary["pca"]["dims"]["0.95"] <= 4, "five roles span four dimensions"
    assert table["kind"].tolist() == ["default", *["role"] * 5]
    np.testing.assert_allclose(table["pc1"][1:].sum(), 0, atol=1e-5)


def test_where_nobody_differs_nothing_separates(tmp_path: Path, config: AxisConfig) -> None:
    """What an axis was made of always lies along it; only other questions tell."""
    with opened(tmp_path, config) as run:
        found = world(run, config, shift=0.0, spread=0.0)
    made = make_vectors(config, run, found, LAYER, "hash")
    summary, _ = analyse(config, run, made)
    held = [one["separation"] for one in summary["layers"]]
    assert all(one["low"] < 0.5 < one["high"] for one in held)
    assert "not shown to separate" in summary["verdict"]


def test_separation_by_hand() -> None:
    """Two questions, one layer; the default is above one role twice, above the other once and beside it
    once: (1 + 1 + 1 + 1/2) / 4. A question without an answer counts for nobody."""
    values = [[[2.0], [3.0]], [[1.0], [1.0]], [[1.5], [3.0]]]
    places = [Placed(np.array(one), np.array(one)) for one in values]
    (found,) = separation(places, 0.95)
    assert found["estimate"] == pytest.approx(3.5 / 4)
    places[2].crosswise[1] = np.nan
    assert separation(places, 0.95)[0]["estimate"] is None, "a quarter of the answers is missing"


def test_work_that_was_done_outlives_an_error(tmp_path: Path, config: AxisConfig) -> None:
    for name, worked in (("early", False), ("late", True)):
        with (
            pytest.raises(DataError),
            opened(tmp_path, config.model_copy(update={"name": name})) as run,
        ):
            if worked:
                run.keep()
            raise DataError("no")
        assert run.folder.exists() is worked


def test_every_role_has_an_axis_of_its_own() -> None:
    """By hand: three roles on a line, each against the mean and the SD of the other two."""
    places = np.array([[[0.0]], [[2.0]], [[5.0]]])
    expected = [[3.5 / np.sqrt(4.5)], [0.5 / np.sqrt(12.5)], [4 / np.sqrt(2)]]
    np.testing.assert_allclose(distances_apart(places), expected)


def test_what_is_written_is_read_again_and_has_the_same_bytes(
    planted: tuple[Run, list[Casting]], config: AxisConfig
) -> None:
    run, found = planted
    data = make_vectors(config, run, found, LAYER, "hash").data
    save_axis(run, data)
    before = (run.folder / VECTORS).read_bytes()
    again = load_axis(run)
    for name in ("vectors", "default", "axis", "trait_vectors"):
        np.testing.assert_array_equal(getattr(again, name), getattr(data, name))
    assert (again.names, again.layer, again.base_hash, again.groups, again.traits) == (
        *(data.names, LAYER, "hash"),
        *((None,) * 5, ("tall",)),
    )
    save_axis(run, again)
    assert (run.folder / VECTORS).read_bytes() == before
    answers = read_answers(run)
    assert answers["kept"].sum() == 60 + 5 * 59, "all of the default's, and what was rated 3"
    (run.folder / VECTORS).write_bytes(before[:100])
    with pytest.raises(RunError, match="cannot be read"):
        load_axis(run)


def test_no_run_and_no_axis(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no vectors\.safetensors"):
        load_axis(Run(tmp_path / "nothing"))
    with pytest.raises(RunError, match="no finished axis run"):
        write_axis_report(tmp_path)


RULES = RuleJudge()
CLOSED = [item for domain in DOMAINS if domain != "who" for item in items(domain)[:40]]


def shares(group: str, spoken_by: str) -> float:
    """How many answers drawn from one group's planted distribution are rated 3 as another's."""
    draw = random.Random(0)
    role = Role(group, ("You are it.",), group=group)
    said = [(item.text, answer(item, PLANTED[spoken_by], draw).text) for item in CLOSED]
    ratings = ratings_of(role, said, RULES)
    assert all(one.score is not None for one in ratings)
    return float(np.mean([one.score == 3 for one in ratings]))


def test_the_rules_keep_what_a_role_would_say_and_less_of_what_the_assistant_says() -> None:
    own = {group: shares(group, group) for group in NAMES}
    assistant = {group: shares(group, DEFAULT) for group in NAMES}
    assert min(own.values()) > 0.75
    assert all(assistant[group] < own[group] for group in NAMES)
    marked = ("child", "liar", "soldier", "poet", "critic")
    assert max(assistant[group] for group in marked) < 0.6
    assert shares(DEFAULT, DEFAULT) == 1.0


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("I am a poet and I write verses.", 3),
        ("I am an assistant and I answer questions.", 1),
        ("I am a child and I like to play.", 0),
    ],
)
def test_who_one_is_decides(said: str, score: int) -> None:
    role = Role("a poet", ("You are a poet.",), group="poet")
    assert rule_rating(role, "Who are you?", said).score == score


def test_what_cannot_be_rated_has_an_error_and_no_score() -> None:
    role = Role("a poet", ("You are a poet.",), group="poet")
    for question, said in (("Who are you?", "blah"), ("Who am I?", "I am a poet and I write verses.")):
        rating = rule_rating(role, question, said)
        assert rating.score is None
        assert rating.error


def test_a_judging_model_is_told_the_role_and_its_failures_are_no_scores() -> None:
    asked = Replying(lambda shown: '{"score": 3}' if "Arr" in shown["ANSWER"] else "hm")
    judge = ApiJudge(JudgeModel("openai", "a-model"), asked)
    role = Role("pirate", ("You are a pirate.",), "one who robs ships")
    ratings = ratings_of(role, [("Who?", "Arr!"), ("Who?", "I am an AI.")], judge)
    assert [one.score for one in ratings] == [3, None]
    assert ratings[1].error == "unparsed"
    assert "pirate: one who robs ships" in asked.calls[0].messages[1].content


def test_parts_have_draws_of_their_own_and_traits_ask_their_own_questions() -> None:
    trait = Trait("tall", ("up", None), ("down",), ("How high?",))
    found = castings_of(Role(DEFAULT, (None,)), [Role("a b", ("x",))], [trait], QUESTIONS[:3])
    assert [one.folder for one in found] == [
        *("roles/default", "roles/a-b", "traits/tall/positive", "traits/tall/negative")
    ]
    assert [len(one.prompts) for one in found] == [3, 3, 2, 1]
    assert [m.content for m in found[2].prompts[0].messages] == ["up", "How high?"]
    assert [m.role for m in found[2].prompts[1].messages] == ["user"], "no empty system message"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"roles": "somewhere"}, "rate only roles and questions of the nano world"),
        ({"question_limit": 5, "prompts_per_role": 2}, "at most 10 are asked"),
        ({"only": ("Loki",)}, "spans no space"),
        ({"layer": 4}, "has 4 blocks"),
        ({"judge": JudgeConfig(by="openai")}, "Which model of openai"),
    ],
)
def test_mistakes_are_found_before_anything_starts(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_inputs(AxisConfig().model_copy(update=changes))
