"""Reading out a trained run again: other samples, a judge's opinion, an inference model's.

Nothing is trained. Completions that are there already are taken as they are: only what is new is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rlpersona.config import GRPOConfig, JudgeConfig, ModelConfig, SweepConfig
from rlpersona.errors import ConfigError, RunError, did_you_mean
from rlpersona.experiments.dose.flips import flip_rate, flips_of, read_flips
from rlpersona.experiments.dose.readout import PARTS, READOUT, inferred, judged, read_out
from rlpersona.experiments.dose.response import analyse
from rlpersona.experiments.dose.single import analyse_training
from rlpersona.experiments.judging import choice_of, opened_judge
from rlpersona.experiments.ranking.responses import LazyModel
from rlpersona.judges.pairwise import ApiJudge
from rlpersona.judges.rubric import AspectJudge
from rlpersona.models.locate import portable
from rlpersona.report.dose import write_dose_report
from rlpersona.report.dose_records import CONDITIONS, FOLDERS, read_telemetry
from rlpersona.report.dose_table import print_sweep, print_training
from rlpersona.resolve import resolve
from rlpersona.rewards import OBJECTIVE
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.store import CONFIG, SUMMARY, Run, locked
from rlpersona.tasks.suite import load_suite
from rlpersona.types import Model, Question

if TYPE_CHECKING:
    import pandas as pd

FLIPS = "flips.parquet"
SETTABLE = ("readout", "judge", "nli", "flips")


def evaluate_run(run: Run, settings: Sequence[str] = ()) -> dict[str, Any]:
    """Read out a run of `rlpersona grpo` or `sweep` anew; writes readout, summary and page, prints them.

    `settings` are words such as `readout.samples=16`, `judge.by=openai judge.model=NAME` (which adds
    `judge_ASPECT`, 1 to 5), `nli=NAME` (which adds `nli_agreement` and `nli_contradiction`) and
    `flips=yes` (the flip test, kept in `flips.parquet`). Returns the new summary.
    ConfigError for any other setting, RunError for a run that is not trained, RunLockedError where
    another process works on it.
    """
    config = saved_config(run)
    readout, judge, nli, flips = _wanted(config, settings)
    config = config.model_copy(update={"readout": readout})
    questions = load_suite(config.suite, config.seed).evaluation
    with locked(run), ExitStack() as stack:

        def pooled(model: ModelConfig) -> Model:
            stack.enter_context(ray_session())
            made = PooledModel(model.model_copy(update={"name": portable(model.name)}))
            stack.callback(made.close)  # while the session of Ray is still there
            return made

        base = LazyModel(lambda: pooled(config.model))
        table = _read(run, config, questions, base, pooled)
        if judge.by != "rules":
            again = f"rlpersona evaluate {run.name} {' '.join(settings)}"
            asked = stack.enter_context(opened_judge(choice_of(judge), run, again))
            assert isinstance(asked, ApiJudge)
            table = judged(table, questions, AspectJudge(asked.model, asked.ask))
        if nli:
            table = inferred(table, nli)
        run.write_table(READOUT, table)
        if flips:
            _flips(run, config, questions, base, pooled)
        return _finish(run, config, table)


def saved_config(run: Run) -> GRPOConfig:
    """The config that a run was started with; RunError for one that has no readout."""
    values = yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8"))
    kinds = {"grpo": GRPOConfig, "sweep": SweepConfig}
    kind = str(values.get("experiment"))
    if kind not in kinds:
        raise RunError(f"Run '{run.name}' is a {kind}: it has no readout.", f"rlpersona show {run.name}")
    return kinds[kind].model_validate(values)


def _wanted(config: GRPOConfig, settings: Sequence[str]) -> tuple[Any, JudgeConfig, str, bool]:
    """The readout's settings, the judge, the name of an inference model ("" for none), flips or not."""
    sections: dict[str, list[str]] = {name: [] for name in SETTABLE}
    for word in settings:
        name = word.partition("=")[0].partition(".")[0]
        if name not in SETTABLE:
            raise ConfigError(
                f"'{word}' is no setting of a readout: the run is trained already.",
                did_you_mean(name, SETTABLE),
            )
        if word.startswith(("readout.every=", "readout.held_out=", "readout.watch_every=")):
            raise ConfigError(f"'{word}' was settled by the training.", "Train another run with it.")
        sections[name].append(word)
    readout = resolve(config, (), sections["readout"]).readout
    judge = resolve(JudgeConfig(), (), [word.removeprefix("judge.") for word in sections["judge"]])
    nli = "".join(word.partition("=")[2] for word in sections["nli"][-1:])
    return readout, judge, nli, sections["flips"][-1:] == ["flips=yes"]


def _read(
    run: Run, config: GRPOConfig, questions: Sequence[Question], base: Model, load: Any
) -> pd.DataFrame:
    import pandas as pd

    if not isinstance(config, SweepConfig):
        return read_out(config, run.folder, base, questions, load=load)
    folders = [run.folder / FOLDERS / name for name in _finished(run)]
    parts = run.folder / PARTS
    tables = [
        read_out(_condition(folder, config), folder, base, questions, load=load, parts=parts)
        for folder in folders
    ]
    return pd.concat(tables, ignore_index=True)


def _flips(run: Run, config: GRPOConfig, questions: Sequence[Question], base: Model, load: Any) -> None:
    """Write `flips.parquet` and print the rate of each condition and step."""
    import pandas as pd

    flips = flips_of(questions)
    if not flips:
        raise ConfigError(
            f"None of the {len(questions)} evaluation prompts gives a flip test.",
            "It needs claims of the nano world, or questions with a whole number as answer.",
        )
    folders = [run.folder]
    if isinstance(config, SweepConfig):
        folders = [run.folder / FOLDERS / name for name in _finished(run)]
    tables = []
    for folder in folders:
        own = config if folder == run.folder else _condition(folder, config)
        parts = run.folder / PARTS
        tables.append(read_flips(own, folder, base, flips, load=load, parts=parts))
    table = pd.concat(tables, ignore_index=True)
    run.write_table(FLIPS, table)
    for (condition, step), part in table.groupby(["condition", "step"]):
        rate = flip_rate(part)
        said = "knows none of the answers" if rate is None else f"gives in to {100 * rate:.1f} %"
        print(
            f"flips: {condition}, step {step}: {said} of {len(flips)} wrong claims that it knows better"
        )


def _condition(folder: Path, config: GRPOConfig) -> GRPOConfig:
    """A condition's own config with the settings of this readout."""
    values = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    own = GRPOConfig.model_validate(values)
    return own.model_copy(update={"readout": config.readout})


def _finished(run: Run) -> list[str]:
    """The ids of the conditions that are trained."""
    import pandas as pd

    path = run.folder / CONDITIONS
    table = pd.read_parquet(path) if path.exists() else None
    if table is None or not (table["status"] == "done").any():
        raise RunError(
            f"Run '{run.name}' has no finished training.", f"rlpersona sweep name={run.name} --resume"
        )
    return list(dict.fromkeys(table.loc[table["status"] == "done", "id"]))


def _finish(run: Run, config: GRPOConfig, table: pd.DataFrame) -> dict[str, Any]:
    """The summary, in place of the one before; what a training said of itself stays."""
    import pandas as pd

    before = run.read_json(SUMMARY) if run.finished else {}
    kept = {"experiment": config.experiment, "run": run.name, "model": config.model.name}
    if not isinstance(config, SweepConfig):
        found = analyse_training(table, config.level, objective=OBJECTIVE)
        summary = {**before, **kept, **found}
        run.write_json(SUMMARY, summary)
        print_training(summary, sys.stdout)
        return summary
    conditions = pd.read_parquet(run.folder / CONDITIONS)
    telemetry = read_telemetry(run.folder, list(dict.fromkeys(conditions["id"])))
    found = analyse(conditions, table, config.level, objective=OBJECTIVE, telemetry=telemetry)
    summary = {**before, **kept, **found}
    run.write_json(SUMMARY, summary)
    print_sweep(summary, sys.stdout, write_dose_report(run.folder))
    return summary
