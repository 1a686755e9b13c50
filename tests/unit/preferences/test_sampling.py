"""Answers drawn from the real embedded model: resumed in mid-work, the same pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rlpersona.config import LabelConfig, ModelConfig
from rlpersona.experiments.labelling.pairing import sample_answers
from rlpersona.models import load_model
from rlpersona.store import Run
from rlpersona.tasks import load_questions
from rlpersona.types import Completion, Model, Prompt, Sampling

CONFIG = LabelConfig(writers=("Marie Curie", "a liar"), answers=4, block=3, seed=5)
QUESTIONS = load_questions("nano", domains=("fact",), limit=8)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(ModelConfig())


class Dying:
    """The real model until its calls are used up."""

    def __init__(self, model: Model, calls: int) -> None:
        self.model, self.calls = model, calls

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        return self.model.generate(prompts, sampling, adapter)

    def close(self) -> None:
        pass


def test_an_interrupted_sampling_goes_on_where_it_was(model: Model, tmp_path: Path) -> None:
    calm = sample_answers(CONFIG, Run(tmp_path / "calm"), QUESTIONS, lambda: Dying(model, 99))
    run = Run(tmp_path / "killed")
    for calls in (1, 1):
        with pytest.raises(KeyboardInterrupt):
            sample_answers(CONFIG, run, QUESTIONS, lambda n=calls: Dying(model, n))
    last = Dying(model, 9)
    assert sample_answers(CONFIG, run, QUESTIONS, lambda: last) == calm
    assert last.calls == 8, "one block was left to draw"
    whole = CONFIG.model_copy(update={"block": 100})
    assert sample_answers(whole, Run(tmp_path / "one"), QUESTIONS, lambda: Dying(model, 1)) == calm


def test_writers_take_turns_and_cut_answers_are_left_out(model: Model, tmp_path: Path) -> None:

    def keep() -> Dying:
        return Dying(model, 99)

    answers = sample_answers(CONFIG, Run(tmp_path / "a"), QUESTIONS, keep)
    assert [[a.writer for a in drawn] for drawn in answers] == [["Marie Curie", "a liar"] * 2] * 8
    short = CONFIG.model_copy(update={"max_tokens": 3})
    cut = sample_answers(short, Run(tmp_path / "b"), QUESTIONS, keep)
    assert all(answer.text == "" for drawn in cut for answer in drawn)
