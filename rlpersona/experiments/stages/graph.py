"""The graph of stages as a list of trainings: what each starts from, stays near, and learns from.

    "sft -> rlhf", "sft -> rlaif -> rlhf"   is   base - sft - sft-rlhf
                                                        \\ - sft-rlaif - sft-rlaif-rlhf

A node is called by its whole path. Paths that begin alike share their beginning, and nodes that would
make the same rows share them, so that a stage which stands in two branches is the same treatment twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rlpersona.config import BASE, DPOStage, StagesConfig
from rlpersona.config.stages import PARENT, Stage
from rlpersona.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Node:
    """One training. `parent`, `reference` and `writer` are names of nodes, or `base`.

    `reference` is the model that a DPO loss stays near, empty for SFT. `writer` is the model whose
    answers become rows, empty where rows are read from files. `data` names the rows: that of the first
    node that uses them.
    """

    stage: str
    path: tuple[str, ...]
    parent: str
    reference: str
    writer: str
    data: str
    settings: Stage

    @cached_property
    def name(self) -> str:
        """`"sft-rlaif-rlhf"`."""
        return "-".join(self.path)

    @property
    def needs(self) -> frozenset[str]:
        """Names of the nodes that must be trained before this one."""
        return frozenset({self.parent, self.reference, self.writer} - {BASE, ""})


def nodes(config: StagesConfig) -> list[Node]:
    """The trainings of a config, each after those that it needs.

    Raises:
        ConfigError: `by` or `reference` names a stage that does not stand above; a stage that no path
            uses, which whoever wrote it expects to be trained.
    """
    found: dict[str, Node] = {}
    rows: dict[tuple[str, str, str], str] = {}
    for line in config.graph:
        stages = tuple(line.split(" -> "))
        for depth in range(1, len(stages) + 1):
            node = _node(config, stages[:depth], rows)
            found.setdefault(node.name, node)
    if idle := sorted(config.stages.keys() - {node.stage for node in found.values()}):
        raise ConfigError(
            f"No path of the graph uses {' and '.join(idle)}.", "Name it in graph=, or drop it."
        )
    return list(found.values())


def _node(config: StagesConfig, path: tuple[str, ...], rows: dict[tuple[str, str, str], str]) -> Node:
    *above, stage = path
    settings = config.stages[stage]
    parent = "-".join(above) or BASE
    writer = reference = ""
    if settings.data.source == "sampled":
        writer = _above(f"stages.{stage}.data.by", settings.data.by or PARENT, above)
    if isinstance(settings, DPOStage):
        wanted = settings.reference or _nearest_sft(config, above)
        reference = _above(f"stages.{stage}.reference", wanted, above)
    name = "-".join(path)
    # Draws of one stage are its own: two stages with equal settings do not see the same answers.
    data = rows.setdefault((stage, writer, settings.data.model_dump_json()), name)
    return Node(stage, path, parent, reference, writer, data, settings)


def _nearest_sft(config: StagesConfig, above: list[str]) -> str:
    return next((name for name in reversed(above) if config.stages[name].method == "sft"), PARENT)


def _above(setting: str, stage: str, above: list[str]) -> str:
    """The name of the nearest node above that is of this stage."""
    if stage == BASE:
        return BASE
    if stage == PARENT:
        return "-".join(above) or BASE
    if stage not in above:
        path = " -> ".join([BASE, *above])
        raise ConfigError(
            f"{setting}={stage}: no such stage stands above it ({path}).",
            did_you_mean(stage, [BASE, *above]),
        )
    last = len(above) - above[::-1].index(stage)
    return "-".join(above[:last])
