"""`rlpersona dpo` before it trains: what it prints, suggests and refuses."""

from __future__ import annotations

import pytest
import yaml

from rlpersona.cli import main
from rlpersona.config import StagesConfig
from rlpersona.presets import STAGES, chosen


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["dpo", *words])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_a_dry_run_prints_a_config_that_loads_to_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("nano-persuasion", "stages.rlhf.data.flips=0.3", "graph=sft -> rlhf, sft -> rlaif")
    code, out, _ = run(capsys, *words, "--dry-run")
    config = StagesConfig.model_validate(yaml.safe_load(out))
    assert code == 0
    assert config.stages["rlhf"].data.flips == 0.3
    assert config.graph == ("sft -> rlhf", "sft -> rlaif")
    assert config.stages["sft"] == chosen("nano-persuasion", STAGES).stages["sft"]


def test_the_plan_states_the_power_and_loads_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plan", "nano-persuasion", "evaluation.prompts=24")
    assert code == 0
    assert "24 evaluation prompts" in out
    assert "a true win rate of" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nano-persuassion"], 2, "Did you mean 'nano-persuasion'?"),
        (["nano-persuasion", "stages.rlhf.reference=rlaif"], 2, "no such stage stands above it"),
        (["nano-persuasion", "graph=sft"], 2, "No path of the graph uses rlaif and rlhf"),
        (["nano-persuasion", "stages.sft.data.groups=60"], 2, "no 60 groups"),
        (["nano-persuasion", "judge.by=openai"], 2, "Which model of openai judges?"),
        (["nano-persuasion", "evaluation.prompts=60"], 3, "45 prompts cannot give 60"),
        (["nano-persuasion", "stages.sft.data.source=jsonl"], 2, "needs data.path"),
        (["persuasion"], 2, "judge.model=MODEL"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
    words: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.setattr("rlpersona.experiments.stages.pipeline.ray_session", None)
    got, _, err = run(capsys, *words, "--runs", str(tmp_path))
    assert (got, message in err) == (code, True), err
