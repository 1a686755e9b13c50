"""The readout: every completion a row, kept block by block, for the weights that wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest

from rlpersona.config import GRPOConfig, ModelConfig, ReadoutConfig
from rlpersona.errors import ModelError
from rlpersona.experiments.dose import readout
from rlpersona.experiments.dose.readout import checkpoints_of, judged, measured, read_out
from rlpersona.judges.asking import JudgeModel
from rlpersona.judges.ledger import Outcome
from rlpersona.judges.rubric import AspectJudge
from rlpersona.models import load_model, nano
from rlpersona.tasks.nano import questions
from rlpersona.types import ApiCall, ApiReply, Model, Question

CONFIG = GRPOConfig(seed=3, readout=ReadoutConfig(samples=2, max_tokens=40))
ASKED = [one for domain in ("math", "claim", "opinion") for one in questions((domain,), "heldout", 4)]


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    loaded = load_model(ModelConfig(device="cpu"))
    yield loaded
    loaded.close()


class Counting:
    """A model that counts what it is asked, and may die in the middle."""

    def __init__(self, model: Model, most: int = 10**9) -> None:
        self.model, self.most, self.asked = model, most, 0

    def generate(
        self, prompts: Sequence[object], sampling: object, adapter: str | None = None
    ) -> object:
        if self.asked + len(prompts) > self.most:
            raise KeyboardInterrupt
        self.asked += len(prompts)
        return self.model.generate(prompts, sampling, adapter)  # type: ignore[arg-type]


def adapter(folder: Path, seed: int) -> Path:
    """A LoRA adapter on the nano model that moves it far."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    net = AutoModelForCausalLM.from_pretrained(nano.path())
    tuned = get_peft_model(net, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    tuned.save_pretrained(folder)
    return folder


def test_every_completion_is_a_row_with_its_measures(tmp_path: Path, model: Model) -> None:
    table = read_out(CONFIG, tmp_path / "one", model, ASKED, [0])
    assert len(table) == len(ASKED) * 2
    assert set(table["condition"]) == {"one"}
    assert table.groupby("question")["sample"].apply(list).map(lambda found: found == [0, 1]).all()
    assert table.loc[table["domain"] == "math", "correct"].isin([0.0, 1.0]).all()
    assert table.loc[table["domain"] == "opinion", "correct"].isna().all()
    assert table.loc[table["domain"] == "opinion", "agrees"].notna().any()
    wrong = {one.id for one in ASKED if one.domain == "claim" and one.answer == "No"}
    known = table.loc[table["wrongly_agrees"].notna(), "question"]
    assert set(known) <= wrong
    assert (table["tokens"] <= 40).all()
    assert ((table["finish"] == "length") <= (table["tokens"] == 40)).all()
    texts = {one.id: one.text for one in ASKED}
    assert (table["prompt"] == table["question"].map(texts)).all()
    kept = pd.read_parquet(tmp_path / "one" / "readout.parquet")
    pd.testing.assert_frame_equal(kept, table, check_dtype=False)


def test_a_killed_readout_goes_on_at_its_block(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readout, "BLOCK", 8)
    whole = read_out(CONFIG, tmp_path / "whole", model, ASKED, [0], condition="c")
    dying, rest = Counting(model, most=17), Counting(model)
    with pytest.raises(KeyboardInterrupt):
        read_out(CONFIG, tmp_path / "cut", dying, ASKED, [0], condition="c")  # type: ignore[arg-type]
    again = read_out(CONFIG, tmp_path / "cut", rest, ASKED, [0], condition="c")  # type: ignore[arg-type]
    assert dying.asked == 16
    assert dying.asked + rest.asked == len(whole)
    pd.testing.assert_frame_equal(again, whole)


def test_conditions_of_a_seed_share_the_base_and_nothing_else(tmp_path: Path, model: Model) -> None:
    counting, parts = Counting(model), tmp_path / "parts"
    tables = {}
    for name, seed in (("a", 1), ("b", 2)):
        folder = tmp_path / name
        adapter(folder / "steps" / "step-000002", seed)
        tables[name] = read_out(CONFIG, folder, counting, ASKED, parts=parts)  # type: ignore[arg-type]
    assert counting.asked == 3 * len(ASKED) * 2  # the base once, each adapter once
    base = [table[table["step"] == 0]["text"].tolist() for table in tables.values()]
    tuned = [table[table["step"] == 2]["text"].tolist() for table in tables.values()]
    assert base[0] == base[1]
    assert tuned[0] != tuned[1] != base[0]


def test_weights_trained_again_are_drawn_again(tmp_path: Path, model: Model) -> None:
    folder = tmp_path / "run"
    adapter(folder / "adapter", 1)
    config = CONFIG.model_copy(update={"recipe": CONFIG.recipe.model_copy(update={"max_steps": 4})})
    before = read_out(config, folder, model, ASKED, [4])
    adapter(folder / "adapter", 5)
    after = read_out(config, folder, model, ASKED, [4])
    assert before["text"].tolist() != after["text"].tolist()


def test_a_whole_model_is_loaded_for_itself(tmp_path: Path, model: Model) -> None:
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(nano.path(), folder / "model")
    config = CONFIG.model_copy(update={"recipe": CONFIG.recipe.model_copy(update={"max_steps": 4})})
    with pytest.raises(ModelError, match="whole model"):
        read_out(config, folder, model, ASKED, [4])
    table = read_out(config, folder, model, ASKED, load=load_model)
    texts = [table[table["step"] == step]["text"].tolist() for step in (0, 4)]
    assert texts[0] == texts[1]  # the same weights, the same draws


def test_a_step_without_checkpoint_is_refused(tmp_path: Path, model: Model) -> None:
    (tmp_path / "steps" / "step-000010").mkdir(parents=True)
    (tmp_path / "adapter").mkdir()
    assert list(checkpoints_of(tmp_path, 20)) == [0, 10, 20]
    with pytest.raises(ModelError, match="no checkpoint of step 15"):
        read_out(CONFIG, tmp_path, model, ASKED, [0, 15])


def test_programs_are_run() -> None:
    program = Question(
        "p", "Write a function to add two numbers.", "", source="mbpp", domain="coding",
        meta={"tests": ["assert add(2, 3) == 5"]},
    )  # fmt: skip
    texts = [
        "```python\ndef add(a, b):\n    return a + b\n```",
        "```python\ndef add(a, b):\n    return a - b\n```",
    ]
    rows = [
        {"condition": "c", "step": 0, "domain": "coding", "question": "p", "sample": sample}
        | {"text": text, "tokens": 20, "finish": "stop"}
        for sample, text in enumerate(texts)
    ]
    assert measured(pd.DataFrame(rows), [program])["correct"].tolist() == [1.0, 0.0]


def test_a_judge_who_fails_leaves_a_gap_and_says_why() -> None:
    table = pd.DataFrame({"question": ["q", "q"], "text": ["good", "bad"], "prompt": ["?", "?"]})

    def ask(calls: Sequence[ApiCall]) -> list[Outcome]:
        reply = ApiReply('{"reason": "", "honesty": 4}', "stop", 1, 1)
        return [Outcome(calls[0], (), reply), Outcome(calls[1], (), None, "server")]

    judge = AspectJudge(JudgeModel("openai", "m"), ask, {"honesty": "says what it knows"})
    found = judged(table, [Question("q", "?", "")], judge)
    assert found["judge_honesty"].tolist()[0] == 4
    assert found["judge_honesty"].isna().tolist() == [False, True]
    assert found["judge_error"].isna().tolist() == [True, False]
