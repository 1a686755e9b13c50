"""Mistakes that end a sweep before it starts, and trainings that failed in its table."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rlpersona.cli import main
from rlpersona.config import SweepConfig
from rlpersona.experiments.dose.conditions import cells
from rlpersona.experiments.dose.sweep import table_of
from rlpersona.presets import SWEEP


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nano-lenght"], 2, "Did you mean 'nano-length'?"),
        (["nano-length", "scalings=none,gruop"], 2, "gruop"),
        (["nano-length", "reward.control=overlong"], 2, "Give controls= instead."),
        (["nano-length", "seeds=[3,3]"], 2, "3 is there twice"),
        (["nano-length", "suite.domains=maths"], 2, "Did you mean 'math'?"),
        (["nano-length", "model=./nowhere"], 4, "nowhere"),
        (["nano-length", "--resume"], 5, "no run 'nano-length' to resume"),
    ],
)
def test_mistakes_leave_nothing_behind(
    words: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["sweep", *words])
    assert ended.value.code == code
    assert says in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(SWEEP))
def test_presets_print_what_they_resolve_to(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sweep", name, "--dry-run"])
    values = yaml.safe_load(capsys.readouterr().out)
    assert values["name"] == name
    assert SweepConfig.model_validate(values) == SWEEP[name]()


def test_a_failed_training_fails_in_every_cell_that_it_serves() -> None:
    config = SweepConfig(biases=("length", "agreement"), bias_weights=(0, 1), seeds=(1,))
    shared = cells(config)[0].condition
    table = table_of(config, {shared: "its process died"})
    assert list(table["bias_weight"][table["status"] == "failed"]) == [0, 0]
    assert set(table["error"][table["status"] == "failed"]) == {"its process died"}
    done = table[table["status"] == "done"]
    assert (set(done["bias_weight"]), done["error"].notna().any()) == ({1.0}, False)
