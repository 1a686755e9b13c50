"""The embedded model: a 1M-parameter Llama with a synthetic world whose truth is planted and known.

Nothing heavy is imported until weights are touched.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rlpersona.models.nano.world.personas import Skill, Traits, bystanders, personas, planted

if TYPE_CHECKING:
    from rlpersona.models.nano.bars import Bar
    from rlpersona.models.nano.building import BuildReport

__all__ = ["Skill", "Traits", "build", "bystanders", "card", "check", "path", "personas", "planted"]


def path() -> Path:
    """Folder of the shipped weights; transformers and vLLM load it like any other model."""
    return Path(__file__).resolve().parent / "weights"


def build(
    out: Path, seed: int = 0, progress: Callable[[int, int, float], None] | None = None
) -> BuildReport:
    """Train the model from scratch into the folder `out`: whole or not at all, minutes on two cores.

    `progress(step, steps, loss)` is called after every step. See `nano.building.build`.
    """
    from rlpersona.models.nano.building import build as run

    return run(Path(out), seed, progress)


def check(folder: Path | None = None) -> list[Bar]:
    """Measure a built model (the shipped one by default) against the bars; about a minute."""
    from rlpersona.models.nano.bars import check as run

    return run(Path(folder) if folder is not None else path())


def card(folder: Path | None = None) -> str:
    """The model card in markdown, from the figures that the build measured."""
    from rlpersona.models.nano.building import read_report
    from rlpersona.models.nano.modelcard import render

    return render(read_report(Path(folder) if folder is not None else path()))
