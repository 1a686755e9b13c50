"""What staged training begins with: prompts in two parts, the graph, rows from files. All checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rlpersona.config import DPOStage, ModelConfig, StagesConfig
from rlpersona.errors import ConfigError, DataError
from rlpersona.experiments.judging import choice_of
from rlpersona.experiments.stages.graph import Node, nodes
from rlpersona.models.lineage import base_hash
from rlpersona.models.locate import locate, portable
from rlpersona.preferences.sources import Rows, read_rows
from rlpersona.preferences.splits import plain
from rlpersona.tasks import fingerprint, load_questions
from rlpersona.tasks.identity import digest, unit
from rlpersona.types import Question

NANO = "nano"


@dataclass(frozen=True)
class Inputs:
    """`model` has a name that holds in every process; `read` the rows from files, by `Node.data`."""

    model: ModelConfig
    weights: str
    nodes: list[Node]
    train: list[Question]
    evaluation: list[Question]
    read: dict[str, Rows] = field(default_factory=dict)

    def fingerprints(self) -> dict[str, str]:
        """A hash for each part of the data, by name."""
        return {
            "base weights": self.weights,
            "training prompts": fingerprint(self.train),
            "evaluation prompts": fingerprint(self.evaluation),
            **{f"rows of {name}": digest(rows.rows) for name, rows in self.read.items()},
        }


def load_inputs(config: StagesConfig, runs: Path = Path("runs")) -> Inputs:
    """Load and check everything that can be wrong before anything is started.

    `runs` is the folder in which `data.source=label` finds its run. Raises ConfigError for a graph or a
    judge that cannot be, DataError for prompts or rows that cannot be used, ModelError where the base
    is not on this machine.
    """
    graph = nodes(config)
    check_judge(config)
    train, evaluation = split_prompts(config)
    if not train and any(node.writer for node in graph):
        raise DataError(
            "All prompts are set apart for the evaluation: none is left for answers to train on.",
            "Give more prompts, or a smaller evaluation.share or evaluation.prompts.",
        )
    model = config.model.model_copy(update={"name": portable(config.model.name)})
    read = read_files(config, graph, evaluation, runs)
    return Inputs(model, base_hash(model.name), graph, train, evaluation, read)


def split_prompts(config: StagesConfig) -> tuple[list[Question], list[Question]]:
    """Training and evaluation prompts, no text in both; which is which depends on texts and seed.

    Prompts that differ in case, width or white space alone count as one, the first.
    """
    questions = load_questions(
        config.benchmark,
        data=config.data,
        seed=config.seed,
        limit=config.prompt_limit,
        domains=config.domains,
    )
    distinct: dict[str, Question] = {}
    for question in questions:
        distinct.setdefault(plain(question.text), question)
    drawn = sorted(distinct, key=lambda text: unit("evaluation", config.seed, text))
    wanted = config.evaluation.prompts or round(config.evaluation.share * len(drawn))
    if not 2 <= wanted <= len(drawn):
        raise DataError(
            f"{len(drawn)} prompts cannot give {wanted} to the evaluation, which takes at least 2.",
            "Give more prompts, or another evaluation.prompts or evaluation.share.",
        )
    kept = set(drawn[:wanted])
    train = [question for text, question in distinct.items() if text not in kept]
    return train, [question for text, question in distinct.items() if text in kept]


def check_judge(config: StagesConfig) -> None:
    """ConfigError for a judge that is none, or the nano world's judge for other prompts."""
    if config.judge.by != "rules" and not config.judge.model:
        raise ConfigError(f"Which model of {config.judge.by} judges?", "Name it: judge.model=MODEL")
    choice = choice_of(config.judge)
    if choice.judge == "rules" and config.benchmark != NANO:
        raise ConfigError(
            f"The rules judge the nano world alone, not benchmark={config.benchmark}.",
            "Name a judge behind an API: judge.by=anthropic judge.model=MODEL",
        )


def read_files(
    config: StagesConfig, graph: Sequence[Node], evaluation: Sequence[Question], runs: Path
) -> dict[str, Rows]:
    """The rows of every node that reads them; DataError with file and line for those that cannot be."""
    readers = {node.data: node for node in graph if not node.writer}
    if not readers:
        return {}
    from transformers import AutoConfig, AutoTokenizer

    from rlpersona.models.encode import Encoder, window_of

    source = locate(config.model.name)
    tokenizer = AutoTokenizer.from_pretrained(source)
    encoder = Encoder(tokenizer, window_of(AutoConfig.from_pretrained(source), tokenizer))
    return {
        name: read_rows(
            node.settings.data,
            kind="pairs" if isinstance(node.settings, DPOStage) else "completions",
            held_out=[question.text for question in evaluation],
            window=node.settings.recipe.max_length,
            encoder=encoder,
            runs=runs,
            seed=config.seed,
        )
        for name, node in readers.items()
    }
