"""Conditions of a sweep trained several at a time in one process each (`packed=`).

A pack is a Ray Train run with checkpoints of its own; packs run side by side, `at_once` of them. Each
condition ends in its own folder with what `trials.train_condition` would leave there. One that a pack
parked, and all of a pack that failed as a whole, are left to be trained alone.
"""

from __future__ import annotations

import math
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from rlpersona.config import GRPOConfig, SweepConfig
from rlpersona.errors import ConfigError, PersonaError
from rlpersona.experiments.dose.step_log import StepLog
from rlpersona.experiments.dose.trials import folder_of, is_done
from rlpersona.report.sweep_progress import DONE
from rlpersona.runtime.threads import in_thread
from rlpersona.runtime.train import train_folders
from rlpersona.store import CONFIG, Run
from rlpersona.tasks.identity import digest
from rlpersona.training.checkpoints import FolderCheckpoints
from rlpersona.training.grpo import GRPOJob
from rlpersona.training.packed.sharing import refusal, shared
from rlpersona.training.start import Start
from rlpersona.types import Question

PLAN, FOLDER = "packs.json", "packs"
Parked = dict[str, str]  # the error of a condition


def refuse_packing(config: SweepConfig) -> None:
    """ConfigError where a sweep that is to be packed cannot be."""
    if config.packed and (why := refusal(config)):
        raise ConfigError(
            f"packed={config.packed} cannot be: {why}", "Change that, or set packed=false."
        )


def train_packs(
    run: Run,
    config: SweepConfig,
    configs: Mapping[str, GRPOConfig],
    train: Sequence[Question],
    held_out: Sequence[Question],
) -> None:
    """Train the conditions in packs, those that are done already excepted."""
    left = [names for names in plan_packs(run, config, configs) if not _over(run, names)]
    work = partial(_train_one, run, configs, train, held_out)
    for line in filter(None, side_by_side(work, left, config.at_once)):
        print(line, file=sys.stderr)


def plan_packs(run: Run, config: SweepConfig, configs: Mapping[str, GRPOConfig]) -> list[list[str]]:
    """Names of conditions, pack by pack; kept in the run, as a pack must be the same when it resumes.

    `packed=true`: as many packs as may run at once, or more of them where memory wants them smaller.
    """
    if (run.folder / PLAN).exists():
        planned: list[list[str]] = run.read_json(PLAN)
        return planned
    together: dict[str, list[str]] = {}
    for name, one in configs.items():
        together.setdefault(shared(one), []).append(name)
    packs = []
    for names in together.values():
        size = _size(config, configs[names[0]], len(names))
        packs += [names[at : at + size] for at in range(0, len(names), size)]
    run.write_json(PLAN, packs)
    return packs


def side_by_side(work: Callable[[Any], str], items: Sequence[Any], at_once: int) -> Iterator[str]:
    """What `work` says of each item, in their order, `at_once` of them at a time.

    What `work` raises is raised here.
    """
    room = threading.Semaphore(at_once)

    def run(item: Any) -> str:
        with room:
            return work(item)

    for end in [in_thread(run, item) for item in items]:
        yield end.result()


def _size(config: SweepConfig, one: GRPOConfig, count: int) -> int:
    """Conditions of a pack, in packs of nearly the same size."""
    if config.packed is True:
        from rlpersona.training.packed.memory import free_memory, need

        cuda = Start(one.model).on_cuda
        fit = need(one, cuda=cuda).fit(free_memory(one, config.at_once))
        most = min(fit, math.ceil(count / config.at_once))
    else:
        most = int(config.packed)
    return math.ceil(count / math.ceil(count / most))


def _over(run: Run, names: Sequence[str]) -> bool:
    """Whether a pack has nothing to do: a parked condition is in it, and is not tried there again."""
    return all(is_done(run, name) for name in names) or (_folder(run, names) / DONE).exists()


def _folder(run: Run, names: Sequence[str]) -> Path:
    return run.folder / FOLDER / digest(*names)[:12]


def _train_one(
    run: Run,
    configs: Mapping[str, GRPOConfig],
    train: Sequence[Question],
    held_out: Sequence[Question],
    names: Sequence[str],
) -> str:
    """Train a pack; what there is to say of it."""
    recipe = configs[names[0]].recipe
    folder = _folder(run, names)
    run.keep()
    work = partial(train_pack, run, {name: configs[name] for name in names}, train, held_out)
    try:
        parked = train_folders(
            work, folder / "checkpoints", cpus=recipe.cpus_per_worker, gpus=recipe.gpus_per_worker
        )
    except PersonaError as error:
        return f"A pack of {len(names)} failed, its conditions are trained one by one: {error}"
    Run(folder).write_json(DONE, parked)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    lines = [f"{name} was parked and is trained alone: {error}" for name, error in parked.items()]
    return "\n".join(lines)


def train_pack(
    run: Run,
    configs: Mapping[str, GRPOConfig],
    train: Sequence[Question],
    held_out: Sequence[Question],
    checkpoints: FolderCheckpoints,
) -> Parked:
    """Train conditions in this process; each leaves `adapter`, `metrics.jsonl`, and last `done.json`."""
    from rlpersona.training.packed.train import train_packed

    folders = {name: folder_of(run, name) for name in configs}
    for name, config in configs.items():
        Run(folders[name]).write_text(
            CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        )
    jobs = [
        GRPOJob(config, Start(config.model), train, held_out, folders[name])
        for name, config in configs.items()
    ]
    outcomes = train_packed(jobs, checkpoints, [StepLog(folder) for folder in folders.values()])
    parked = {}
    for (name, folder), outcome in zip(folders.items(), outcomes, strict=True):
        if isinstance(outcome, PersonaError):
            parked[name] = str(outcome)
        else:
            Run(folder).write_json(DONE, outcome)
    return parked
