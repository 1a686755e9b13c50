"""Prompts in two parts, and what is refused before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlpersona.config import DataConfig, DPOStage, EvaluationConfig, JudgeConfig, SFTStage, StagesConfig
from rlpersona.errors import ConfigError, DataError, ModelError
from rlpersona.experiments.stages.inputs import load_inputs, split_prompts
from rlpersona.experiments.stages.plan import plan_lines
from rlpersona.presets import STAGES, chosen

ONE = {"graph": ("sft",), "stages": {"sft": SFTStage()}}


def test_the_parts_share_no_prompt_and_depend_on_text_and_seed_alone() -> None:
    train, evaluation = split_prompts(StagesConfig(**ONE))
    assert len(train) + len(evaluation) == 45
    assert len(evaluation) == round(0.5 * 45)
    assert not {q.text for q in train} & {q.text for q in evaluation}
    assert split_prompts(StagesConfig(**ONE)) == (train, evaluation)
    assert split_prompts(StagesConfig(**ONE, seed=1))[1] != evaluation
    more = split_prompts(StagesConfig(**ONE, evaluation=EvaluationConfig(prompts=30)))[1]
    assert {q.text for q in evaluation} < {q.text for q in more}


def test_too_few_prompts_for_an_evaluation_or_for_training_are_said() -> None:
    with pytest.raises(DataError, match="45 prompts cannot give 46"):
        split_prompts(StagesConfig(**ONE, evaluation=EvaluationConfig(prompts=46)))
    with pytest.raises(DataError, match="none is left for answers to train on"):
        load_inputs(StagesConfig(**ONE, evaluation=EvaluationConfig(prompts=45)))


def test_a_judge_that_knows_only_the_nano_world_is_refused_for_other_prompts() -> None:
    with pytest.raises(ConfigError, match="The rules judge the nano world alone") as caught:
        load_inputs(StagesConfig(**ONE, benchmark="ultrafeedback"))
    assert "judge.by=" in caught.value.hint
    with pytest.raises(ConfigError, match="Which model of openai judges"):
        load_inputs(StagesConfig(**ONE, judge=JudgeConfig(by="openai")))
    with pytest.raises(ModelError, match="there is no such folder"):
        load_inputs(StagesConfig(**ONE, model="./nowhere"))


def jsonl_stages(path: Path, **data: object) -> StagesConfig:
    source = DataConfig(source="jsonl", path=str(path), **data)
    return StagesConfig(graph=("sft -> dpo",), stages={"sft": SFTStage(), "dpo": DPOStage(data=source)})


def test_rows_of_files_are_read_and_checked_first(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    taken = split_prompts(StagesConfig(**ONE))[1][0].text
    rows = [
        {"prompt": "Persuade me to sing.", "chosen": "Sing, it is good.", "rejected": "No."},
        {"prompt": taken.upper(), "chosen": "Yes.", "rejected": "No."},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"pairs\.jsonl") as caught:
        load_inputs(jsonl_stages(file))
    assert "line 2" in f"{caught.value} {caught.value.hint}"

    inputs = load_inputs(jsonl_stages(file, bad_rows="quarantine"))
    read = inputs.read["sft-dpo"]
    assert [row["chosen"][0]["content"] for row in read.rows] == ["Sing, it is good."]
    assert [row.flaw for row in read.rejected] == ["in the evaluation"]
    before = inputs.fingerprints()
    file.write_text(json.dumps(rows[0] | {"rejected": "Never."}) + "\n")
    after = load_inputs(jsonl_stages(file)).fingerprints()
    assert {name for name in before if before[name] != after[name]} == {"rows of sft-dpo"}


@pytest.mark.parametrize("name", sorted(STAGES))
def test_every_preset_has_the_four_models_and_one_set_of_human_labels(name: str) -> None:
    config = chosen(name, STAGES)
    assert config.name == name
    assert config.graph == ("sft -> rlhf", "sft -> rlaif -> rlhf")
    assert config.stages["rlaif"].method == config.stages["rlhf"].method == "dpo"


def test_the_plan_counts_rows_and_comparisons_and_states_the_power() -> None:
    lines = plan_lines(chosen("nano-persuasion", STAGES))
    text = "\n".join(lines)
    assert "sft-rlaif-rlhf: dpo on sft-rlaif" in text
    assert "(the rows of sft-rlhf)" in text
    # 23 prompts: 8 groups of 8 need 7 comparisons each, 16 and 3 pairs; 22 x 8 samples x 10 pairs.
    assert f"at most {23 * 56 + 23 * 16 + 23 * 3:,} pairs for the stages and 1,760 of" in text
    assert "22 evaluation prompts, 10 pairs of 5 models" in text
