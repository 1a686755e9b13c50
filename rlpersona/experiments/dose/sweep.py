"""The sweep: one factorial of GRPO trainings under misspecified rewards, read out and analysed as one.

Cells that ask for the same training share it (`conditions`). Every training is a trial of Ray Tune in a
folder of its own, `conditions/ID`, with checkpoints there: a killed trial, or a killed driver that is
resumed, goes on where it was and ends in the same weights. A training that fails as often as allowed is
kept as failed, with its error, in `conditions.parquet` and in the summary; the others are analysed, and
`--resume` tries it again. No training is stopped early: a bad dose is a result.
"""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.config import SweepConfig
from rlpersona.errors import RunError
from rlpersona.experiments.axis.live import save_probe
from rlpersona.experiments.dose.conditions import Condition, cells, conditions
from rlpersona.experiments.dose.grpo import SUITE, located, shortages
from rlpersona.experiments.dose.packs import refuse_packing, train_packs
from rlpersona.experiments.dose.readout import PARTS, READOUT, read_out
from rlpersona.experiments.dose.response import analyse
from rlpersona.experiments.dose.trials import folder_of, is_done, train_condition
from rlpersona.experiments.origin import record_origin
from rlpersona.experiments.tracking.following import services, tracked
from rlpersona.report.dose_records import CONDITIONS, read_telemetry
from rlpersona.report.sweep_progress import watch_trainings
from rlpersona.rewards import OBJECTIVE
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.runtime.sweep import room, run_trials
from rlpersona.store import SUMMARY, Run, opened
from rlpersona.tasks.suite import Suite, load_suite
from rlpersona.training.grpo import total_steps

if TYPE_CHECKING:
    import pandas as pd

TRIALS = "tune"


@dataclass(frozen=True)
class Inputs:
    """The trainings, and the prompts that they share."""

    conditions: list[Condition]
    suite: Suite


def run_sweep(config: SweepConfig, root: Path | str = "runs", *, resume: bool = False) -> dict[str, Any]:
    """Run or resume the whole sweep and return its summary, which `summary.json` holds too.

    A mistake of the user is found before anything is started, where it can be. RunError where every
    training failed.
    """
    config = config.model_copy(update={"model": located(config).model})
    inputs, chosen = load_sweep(config), services()
    with opened(Path(root).absolute(), config, resume=resume) as run:
        if not run.finished or run.read_json(SUMMARY)["design"]["failed"]:
            record_origin(run, inputs.suite)
            if config.readout.axis:
                save_probe(config.readout.axis, config.model, run)
            run.write_table(SUITE, inputs.suite.table())
            for line in shortages(inputs.suite):
                print(line, file=sys.stderr)
            with ray_session(), tracked(run, chosen, config.recipe.batch):
                table = train(config, inputs, run)
                readout = read(config, inputs, run, table)
            logged = read_telemetry(run.folder, [one.id for one in inputs.conditions])
            found = analyse(table, readout, config.level, objective=OBJECTIVE, telemetry=logged)
            about = {"experiment": "sweep", "run": run.name, "model": config.model.name}
            run.write_json(SUMMARY, {**about, **found})
        summary: dict[str, Any] = run.read_json(SUMMARY)
    return summary


def load_sweep(config: SweepConfig) -> Inputs:
    """Conditions and prompts; PersonaErrors for what cannot be found or does not go together."""
    refuse_packing(config)
    return Inputs(conditions(config), load_suite(config.suite, config.seed))


def train(config: SweepConfig, inputs: Inputs, run: Run) -> pd.DataFrame:
    """Train what is not trained yet; the table of cells, with how each training ended."""
    recipe, suite = config.recipe, inputs.suite
    configs = {one.id: one.config for one in inputs.conditions}
    left = any(not is_done(run, name) for name in configs)
    steps = total_steps(config, len(suite.train))
    with watch_trainings([folder_of(run, name) for name in configs], steps):
        if config.packed and left:
            train_packs(run, config, configs, suite.train, suite.held_out)
        errors = run_trials(
            partial(train_condition, run, configs, suite.train, suite.held_out),
            list(configs) if left else [],
            run.folder / TRIALS,
            at_once=config.at_once,
            workers=recipe.workers,
            cpus=recipe.cpus_per_worker,
            gpus=recipe.gpus_per_worker,
            retries=config.retries,
            reuse=recipe.rollouts == "hf",  # a vLLM engine keeps its GPU memory until its process ends
        )
    failed = {name: error for name, error in errors.items() if error is not None}
    if len(failed) == len(configs):
        raise RunError(
            f"All {len(failed)} trainings failed; the first: {next(iter(failed.values()))}",
            f"Mend that and use --resume; the tracebacks are in {run.folder / TRIALS}.",
        )
    table = table_of(config, failed)
    run.write_table(CONDITIONS, table)
    return table


def table_of(config: SweepConfig, failed: dict[str, str]) -> pd.DataFrame:
    """One row a cell: id of its training, the factors, `status` (done or failed), `error`."""
    import pandas as pd

    rows = [
        {
            "id": cell.condition,
            **{name: value for name, value in asdict(cell).items() if name != "condition"},
            "status": "failed" if cell.condition in failed else "done",
            "error": failed.get(cell.condition),
        }
        for cell in cells(config)
    ]
    return pd.DataFrame(rows).astype({"error": "string"})


def read(config: SweepConfig, inputs: Inputs, run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """The completions of every trained condition on the evaluation prompts, with their measures.

    Drawn by as many replicas as trainings ran at a time, where there is room for them.
    """
    import pandas as pd

    done = set(table.loc[table["status"] == "done", "id"])
    settings = config.model
    fit = room(1, settings.cpus_per_replica, settings.gpus_per_replica)
    replicas = max(settings.replicas, min(config.at_once, fit))
    with closing(PooledModel(settings.model_copy(update={"replicas": replicas}))) as model:
        tables = [
            read_out(
                one.config,
                folder_of(run, one.id),
                model,
                inputs.suite.evaluation,
                load=PooledModel,
                parts=run.folder / PARTS,
            )
            for one in inputs.conditions
            if one.id in done
        ]
    readout = pd.concat(tables, ignore_index=True)
    run.write_table(READOUT, readout)
    return readout
