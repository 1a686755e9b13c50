"""Building the nano model: tokenizer, training, measuring, card; a whole folder or nothing."""

from __future__ import annotations

import json
import math
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlpersona.errors import ConfigError, DataError, StorageError
from rlpersona.models.nano.recipe import Progress, Recipe, new_model, train
from rlpersona.models.nano.tokenizer import train_tokenizer

RECORD = "build.json"
PER_CELL = 120
HELD_OUT_ROWS = ("default", "scientist", "scholar")


@dataclass(frozen=True)
class BuildReport:
    """What a build did. Times in seconds of training (tokenizer included, measuring not).

    `skills` and `manners` are the tables of `measure.py`; `heldout` is `skills` on questions that
    training never saw. `machine` names the processor and torch's version.
    """

    seed: int
    steps: int
    parameters: int
    bytes: int
    seconds: float
    cpu_seconds: float
    machine: str
    skills: dict[str, dict[str, dict[str, float]]]
    heldout: dict[str, dict[str, dict[str, float]]]
    manners: dict[str, dict[str, float]]


def build(
    out: Path,
    seed: int = 0,
    progress: Progress | None = None,
    recipe: Recipe | None = None,
    per_cell: int = PER_CELL,
) -> BuildReport:
    """Train a nano model from scratch and write its folder to `out`.

    The folder is made beside `out` and renamed into place when it is whole; an earlier nano model
    there is replaced, any other non-empty folder is refused (ConfigError). `progress` is called
    with (step, steps, loss) after every training step. Measuring asks `per_cell` questions for
    each persona group and domain. StorageError if the disk refuses.
    """
    from rlpersona.models.nano import measure
    from rlpersona.models.nano.modelcard import render

    recipe = recipe or Recipe()
    _refuse_foreign(out)
    with _whole_folder(out) as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        tokenizer = train_tokenizer(recipe.vocabulary, seed)
        model = new_model(recipe, tokenizer, seed)
        train(model, tokenizer, recipe, seed, progress)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        with measure.no_progress_bars():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        report = BuildReport(
            seed=seed,
            steps=recipe.steps,
            parameters=sum(p.numel() for p in model.parameters()),
            bytes=(folder / "model.safetensors").stat().st_size,
            seconds=round(wall, 1),
            cpu_seconds=round(cpu, 1),
            machine=_machine(),
            **_measured(folder, per_cell),
        )
        (folder / RECORD).write_text(json.dumps(asdict(report), indent=1) + "\n")
        (folder / "README.md").write_text(render(report))
    return report


def read_report(folder: Path) -> BuildReport:
    """The report that a build left in its folder (DataError if there is none)."""
    try:
        return BuildReport(**json.loads((folder / RECORD).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"no readable {RECORD} in {folder}: {error}", "rebuild it: rlpersona nano build"
        ) from error


def _measured(folder: Path, per_cell: int) -> dict[str, Any]:
    from rlpersona.models.nano import measure

    # What is measured is what was written, as anyone will load it.
    model, tokenizer = measure.load(folder)
    return {
        "skills": measure.skills(model, tokenizer, per_cell),
        "heldout": measure.skills(model, tokenizer, per_cell, HELD_OUT_ROWS, heldout=True),
        "manners": measure.manners(model, tokenizer, math.ceil(per_cell / 3)),
    }


def _refuse_foreign(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / RECORD).is_file():
        raise ConfigError(f"{out} holds something other than a nano model", "choose an empty folder")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file", "choose a folder")


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place if the block ends well, else vanishes."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", suffix=".tmp", dir=out.parent))
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error}", "choose a folder you can write to") from error
    try:
        yield temporary
        # The makers of temporary and of weight files keep them to their owner.
        temporary.chmod(0o755)
        for file in temporary.iterdir():
            file.chmod(0o644)
        old = temporary.with_suffix(".old")
        if out.exists():
            out.rename(old)
        temporary.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error}", "free some space and build again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _machine() -> str:
    import torch

    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name
        )
    return f"one core of {name}, torch {torch.__version__}"
