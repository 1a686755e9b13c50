"""Drift in cells whose truth is planted, and of checkpoints that are the base under another name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from rlpersona.axis.vectors import axis, pca, role_sd
from rlpersona.config import DataConfig, DriftConfig, GRPOConfig
from rlpersona.errors import DataError, RunError
from rlpersona.experiments.drift.cells import Asked, Cells, read_cells, stored
from rlpersona.experiments.drift.checkpoints import Checkpoint, Training, trainings_of
from rlpersona.experiments.drift.measures import Reading, Yardstick, measure
from rlpersona.experiments.drift.rotation import corrected_cosine
from rlpersona.experiments.drift.summary import beyond, correlations, groups, verdict
from rlpersona.experiments.drift.texts import sft_rows
from rlpersona.preferences.sources import read_rows
from rlpersona.store import Run
from rlpersona.types import Prompt

LAYERS, ROLES, QUESTIONS, WIDTH, MAIN = 3, 10, 16, 24, 1
NAMES = ["default", *(f"role {at}" for at in range(ROLES))]
ASKED = [f"question {at}" for at in range(QUESTIONS)]
CONFIG = DriftConfig(resamples=200)


@pytest.fixture(scope="module")
def world() -> np.ndarray:
    """Cells (layers, roles, questions, d) of a base; one of them is empty."""
    draw = np.random.default_rng(0)
    places = draw.normal(0, 1, (LAYERS, 1 + ROLES, 1, WIDTH))
    cells = places + draw.normal(0, 0.3, (LAYERS, 1 + ROLES, QUESTIONS, WIDTH))
    cells[:, 3, 5] = np.nan
    found: np.ndarray = cells.astype(np.float32)
    return found


def kept(folder: Path, name: str, cells: np.ndarray) -> Cells:
    with stored(folder / f"{name}.safetensors") as save:
        save({"cells": np.ascontiguousarray(cells, np.float32)})
    return Cells(folder / f"{name}.safetensors")


def yardstick(cells: np.ndarray) -> Yardstick:
    vectors = np.nanmean(cells, axis=2, dtype=np.float64).transpose(1, 0, 2)
    direction = axis(vectors[0], vectors[1:]).astype(np.float64)
    trait = np.zeros((LAYERS, WIDTH))
    trait[:, 0] = 1
    return Yardstick(direction, vectors[1:], {"first": trait}, MAIN)


def measured(folder: Path, base: np.ndarray, after: np.ndarray, config: DriftConfig = CONFIG) -> Reading:
    yard = yardstick(base)
    parts = kept(folder, "base", base), kept(folder, "after", after)
    return measure(*parts, NAMES, ASKED, yard, pca(yard.roles, MAIN), config)


def test_an_equal_checkpoint_shows_no_drift_at_all(tmp_path: Path, world: np.ndarray) -> None:
    found = measured(tmp_path, world, world.copy())
    assert (found.table["drift"] == 0).all()
    for who in ("default", "roles"):
        for kind in ("frozen", "recomputed"):
            told = found.summary[who][kind]
            assert (told["estimate"], told["low"], told["high"]) == (0, 0, 0)
    assert found.summary["rotation"] == {"estimate": 1, "low": 1, "high": 1}
    for layer in found.summary["by_layer"]:
        assert (layer["cka"], layer["cosine"], layer["length"]) == (1, 1, 0)
        assert layer["corrected"] == pytest.approx(1, abs=1e-12)
    assert found.summary["control"]["personas"]["p"] == 1
    assert (found.places["pc1"] == found.places["base_pc1"]).all()


def test_a_planted_movement_is_found_in_units_of_the_roles(tmp_path: Path, world: np.ndarray) -> None:
    yard = yardstick(world)
    along = yard.direction / np.linalg.norm(yard.direction, axis=-1, keepdims=True)
    found = measured(tmp_path, world, world + 2 * along[:, None, None].astype(np.float32))
    units = role_sd(yard.roles, yard.direction)
    told = found.summary["default"]["frozen"]
    assert told["estimate"] == pytest.approx(2 / units[MAIN], rel=1e-5)
    assert found.summary["roles"]["frozen"]["estimate"] == pytest.approx(2 / units[MAIN], rel=1e-5)
    assert (told["roles"], told["questions"]) == (1, QUESTIONS)
    assert [one["default"] for one in found.summary["by_layer"]] == pytest.approx(2 / units, rel=1e-5)
    # All moved alike: the axis has not turned, and nothing is less like the base.
    assert found.summary["rotation"]["estimate"] == pytest.approx(1, abs=1e-6)
    assert found.summary["by_layer"][MAIN]["cka"] == pytest.approx(1, abs=1e-6)
    # A movement along the axis is further along it than along any random direction.
    assert found.summary["control"]["personas"]["p"] == pytest.approx(1 / 201)
    assert beyond(found.summary)


def test_a_movement_in_a_random_direction_is_not_beyond_the_control(
    tmp_path: Path, world: np.ndarray
) -> None:
    outside = 0
    for seed in range(20):
        move = np.random.default_rng(seed).normal(0, 0.5, WIDTH).astype(np.float32)
        found = measured(tmp_path, world, world + move, CONFIG.model_copy(update={"recompute": False}))
        outside += found.summary["control"]["anywhere"]["p"] < 0.05
        assert found.summary["rotation"] is None
        assert "recomputed" not in found.summary["default"]
    assert outside <= 4  # 1 is expected; more than 4 of 20 have a chance of 0.3 %


def test_the_table_has_a_row_for_every_answered_cell(tmp_path: Path, world: np.ndarray) -> None:
    table = measured(tmp_path, world, world + 1).table
    answered = (1 + ROLES) * QUESTIONS - 1
    counts = table.groupby(["layer", "direction", "axis"], observed=True).size()
    assert (counts == answered).all()
    assert len(counts) == 2 * LAYERS + 1  # the trait at the layer of headlines alone
    mine = table[(table["role"] == "role 2") & (table["question"] == "question 5")]
    assert mine.empty, "the empty cell"


def test_nothing_in_common_is_refused(tmp_path: Path, world: np.ndarray) -> None:
    silent = world.copy()
    silent[:, 0] = np.nan
    with pytest.raises(DataError, match="answer of the default"):
        measured(tmp_path, world, silent)


def test_a_planted_turn_is_found_behind_the_noise() -> None:
    """Two axes at 60 degrees, each seen through noise that nearly hides them."""
    draw = np.random.default_rng(1)
    questions, width = 60, 40
    far = np.zeros((2, width))
    far[0, 0], far[1, :2] = 1, (0.5, 0.75**0.5)

    def cells(direction: np.ndarray) -> np.ndarray:
        noise = draw.normal(0, 0.7, (1 + ROLES, questions, 1, width))
        noise[0, :, 0] += direction
        return noise

    found = [[corrected_cosine(cells(far[0]), cells(one)) or 0 for one in far] for _ in range(12)]
    same, turned = np.mean(found, axis=0)
    assert same == pytest.approx(1, abs=0.1)
    assert turned == pytest.approx(0.5, abs=0.1)
    assert corrected_cosine(cells(far[0])[:, :3], cells(far[0])[:, :3]) is None


class Pool:
    """Extractors without a model: a chat's activations are its number of tokens, by layer."""

    def of(self, model: object) -> Pool:
        return self

    def stream(self, method: str, parts: object) -> object:
        for index, (chats, adapter) in reversed(list(enumerate(parts))):  # type: ignore[arg-type]
            self.asked = method, adapter
            lengths = np.array([float(len(ids)) or np.nan for _, ids in chats], np.float32)
            yield index, np.stack([lengths, 10 * lengths], 1)[:, :, None].repeat(WIDTH, 2)


def test_cells_are_means_of_their_answers_and_kept_under_what_decides_them(tmp_path: Path) -> None:
    asked = [
        Asked(role, question, Prompt.ask(question, role))
        for role in ("default", "poet")
        for question in ("a", "b")
        for _ in range(2)
    ]
    answers = [[1], [1, 2, 3], [1], [], [], [], [1] * 4, [1] * 8]
    model = GRPOConfig().model.model_copy(update={"chunk": 1})
    pool = Pool()
    cells = read_cells(tmp_path, asked, answers, model, "adapter", "w", pool)  # type: ignore[arg-type]
    assert pool.asked == ("extract", "adapter")
    assert cells.layer(0)[:, :, 0].ravel().tolist() == pytest.approx([2, 1, np.nan, 6], nan_ok=True)
    assert cells.layer(1)[0, 0, 0] == 20
    again = read_cells(tmp_path, asked, answers, model, "adapter", "w", None)  # type: ignore[arg-type]
    assert again == cells, "taken from the disk"
    other = read_cells(tmp_path, asked, answers, model, None, "other", pool)  # type: ignore[arg-type]
    assert other.file != cells.file


def test_answers_become_rows_that_sft_reads(tmp_path: Path) -> None:
    asked = [
        Asked("default", "q", Prompt.ask("Is it?", None)),
        Asked("poet", "q", Prompt.ask("?", "Be.")),
    ]
    answers = pd.DataFrame({"text": [" It is.", "cut"], "finish": ["stop", "length"]})
    (tmp_path / "rows.jsonl").write_text(sft_rows(asked, answers))
    data = DataConfig(source="jsonl", path=str(tmp_path / "rows.jsonl"))
    (row,) = read_rows(data, kind="completions").rows
    assert row["prompt"] == [{"role": "user", "content": "Is it?"}]
    assert row["completion"] == [{"role": "assistant", "content": "It is."}]


def checkpoint_json(condition: str, step: int, moved: float, text: str = "own") -> dict[str, object]:
    told = {"estimate": moved, "low": moved - 0.1, "high": moved + 0.1}
    return {
        "run": "of",
        "condition": condition,
        "step": step,
        "text": text,
        "default": {"frozen": told},
        "control": {"personas": {"low": -0.2, "high": 0.2, "p": 0.5}},
    }


def training(folder: Path, name: str, steps: list[int], **factors: object) -> Training:
    points = tuple(Checkpoint("of", name, step, None, (factors,) if factors else ()) for step in steps)
    return Training("of", name, folder, points)


def test_movement_goes_with_the_reward_since_the_checkpoint_before(tmp_path: Path) -> None:
    rows = [{"step": step, "total": float(step)} for step in range(1, 9)]
    Run(tmp_path).write_text("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    steps = [2, 4, 6, 8]
    points = [checkpoint_json("a", step, -step) for step in steps]
    (found,) = correlations([training(tmp_path, "a", steps)], points)
    assert [point["reward"] for point in found["points"]] == [1.5, 3.5, 5.5, 7.5]
    assert found["rho"] == pytest.approx(-1)
    (short,) = correlations([training(tmp_path, "a", steps[:3])], points[:3])
    assert short["rho"] is None


def test_the_unit_of_a_sweep_is_the_training(tmp_path: Path) -> None:
    cell = {"bias": "length", "bias_weight": 1.0, "scaling": "none"}
    trainings, points = [], []
    for seed, (biased, random) in enumerate([(1.0, 0.2), (1.2, 0.1), (1.4, 0.3)]):
        for control, moved in (("none", biased), ("random-reward", random)):
            name = f"{control}-{seed}"
            trainings.append(training(tmp_path, name, [4], control=control, seed=seed, **cell))
            points.append(checkpoint_json(name, 4, moved))
    found = {one["control"]: one for one in groups(trainings, points, 0.95) if one["text"] == "own"}
    assert found["none"]["estimate"] == pytest.approx(1.2)
    assert found["none"]["trainings"] == 3
    # mean 1, sd 0.15275 of the differences 0.8, 1.1, 1.1; t(0.975, 2) = 4.30265
    other = found["none"]["beyond_random"]
    assert other["estimate"] == pytest.approx(1.0)
    assert other["high"] - 1.0 == pytest.approx(4.30265 * 0.173205 / 3**0.5, rel=1e-4)
    assert found["random-reward"]["beyond_random"] is None


def test_the_verdict_names_the_furthest_training_and_its_control() -> None:
    points = [checkpoint_json("a", 4, 0.15), checkpoint_json("b", 2, 0.9), checkpoint_json("b", 4, -0.5)]
    points.append(checkpoint_json("b", 4, -0.05, "base"))
    points.append(checkpoint_json("c", 4, 3.0) | {"run": "a control"})
    said = verdict({"checkpoints": points, "of": "of", "conditions": []})
    assert said.startswith("The model moved away from the assistant: -0.50 [-0.60, -0.40] SD")
    assert "-0.05 [-0.15, +0.05] on the base's (b at step 4, the furthest of 2 trainings" in said
    still = verdict({"checkpoints": points[:1], "of": "of", "conditions": []})
    assert still.startswith("No movement along the Assistant Axis beyond")


def test_checkpoints_of_a_training(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine")
    config = GRPOConfig(name="mine")
    config = config.model_copy(update={"recipe": config.recipe.model_copy(update={"max_steps": 6})})
    run.write_text("config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
    with pytest.raises(RunError, match="no finished training"):
        trainings_of(run)
    for name in ("steps/step-000002", "steps/step-000004", "adapter"):
        (run.folder / name).mkdir(parents=True)
    run.write_text("done.json", "{}")
    (found,) = trainings_of(run)
    assert [one.step for one in found.checkpoints] == [2, 4, 6]
    assert str(found.checkpoints[-1].folder).endswith("adapter")
    (chosen,) = trainings_of(run, [6])
    assert [one.step for one in chosen.checkpoints] == [6]
    with pytest.raises(RunError, match="no checkpoint of step 3"):
        trainings_of(run, [3])
    run.write_text("config.yaml", "experiment: bandit\n")
    with pytest.raises(RunError, match="trains no model"):
        trainings_of(run)
