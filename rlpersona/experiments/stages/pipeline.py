"""Staged training: base -> stages of SFT and DPO, as a graph -> all models compared on fresh prompts.

The prompts are parted once: no stage trains on those of the evaluation. A node of the graph is worked on
as soon as what it needs is trained: its rows are made (answers of a model, judged) or were read, it is
trained in a Ray Train run of its own, and its chain is written as one adapter on the raw base. Nodes
that do not need each other are worked on side by side, as far as CPUs and GPUs allow. What is finished
stays finished: a run that was killed goes on at its last checkpoints and ends with the same weights.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rlpersona.config import ModelConfig, StagesConfig
from rlpersona.experiments.axis.live import save_probe
from rlpersona.experiments.judging import choice_of, opened_judge
from rlpersona.experiments.origin import record_origin
from rlpersona.experiments.ranking.ranking import evaluate_stages
from rlpersona.experiments.ranking.responses import LazyModel
from rlpersona.experiments.ranking.runs import PROMPTS, trained_models
from rlpersona.experiments.ranking.verdict import power_lines
from rlpersona.experiments.stages.data import (
    data_file,
    keep_rows,
    prompts_of,
    rows_made,
    rows_read,
    sample_answers,
)
from rlpersona.experiments.stages.graph import Node
from rlpersona.experiments.stages.inputs import Inputs, load_inputs
from rlpersona.experiments.stages.training import is_trained, served, stage_folder, train_node
from rlpersona.experiments.tracking.following import services, tracked
from rlpersona.judges.base import Judge
from rlpersona.preferences.pairs import Answer
from rlpersona.report.board import Board, board
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.room import Room
from rlpersona.runtime.session import ray_session
from rlpersona.runtime.threads import in_thread
from rlpersona.store import METRICS, SUMMARY, Run, opened
from rlpersona.types import Model, Question


def run_dpo(config: StagesConfig, root: Path | str = "runs", *, resume: bool = False) -> dict[str, Any]:
    """Run or resume the whole experiment and return its summary, which `summary.json` holds too.

    A mistake of the user is found before anything is started, where it can be (errors.py names them).
    """
    root = Path(root).absolute()
    inputs, chosen = load_inputs(config, root), services()
    with opened(root, config, resume=resume) as run:
        if not run.finished:
            record_origin(run, inputs)
            write_prompts(run, inputs)
            if config.axis:
                save_probe(config.axis, inputs.model, run)
            for line in power_lines(config, len(inputs.evaluation)):
                print(line, file=sys.stderr)
            again = f"rlpersona dpo name={run.name} --resume --runs {root}"
            with (
                ray_session(),
                tracked(run, chosen),
                opened_judge(choice_of(config.judge), run, again) as judge,
            ):
                with board() as shown:
                    train_graph(inputs.nodes, Stages(config, inputs, run, judge, shown))
                evaluate(config, inputs, run, judge)
        summary: dict[str, Any] = run.read_json(SUMMARY)
    return summary


class Stages:
    """What a node's work needs beside the node; threads share it."""

    def __init__(
        self, config: StagesConfig, inputs: Inputs, run: Run, judge: Judge, shown: Board
    ) -> None:
        self.config, self.inputs, self.run, self.judge, self.board = config, inputs, run, judge, shown
        self.room = Room()
        self.making = {node.data: threading.Lock() for node in inputs.nodes}

    def work(self, node: Node) -> None:
        """Make the rows of a node and train it."""
        with self.making[node.data]:  # nodes of two branches may share their rows
            if not data_file(self.run, node).exists():
                self.make_rows(node)
        recipe = node.settings.recipe
        cpus, gpus = recipe.workers * recipe.cpus_per_worker, recipe.workers * recipe.gpus_per_worker
        steps = stage_folder(self.run, node.name) / METRICS
        with self.room.hold(cpus, gpus), self.board.following(node.name, steps):
            record = train_node(self.inputs, self.run, node, self.config.seed)
        measures = record["measures"]
        self.board.say(
            node.name,
            f"trained on {measures['rows']:,} rows, {measures['steps']:,} steps,"
            f" loss {measures['loss']:.3f}",
        )

    def make_rows(self, node: Node) -> None:
        """Write the rows of a node, read or made of judged answers."""
        if not node.writer:
            keep_rows(self.run, node, rows_read(self.run, node, self.inputs.read[node.data]))
            return
        prompts = prompts_of(node.settings.data, self.inputs.train, self.config.seed)
        answers = self.answers(node, prompts)
        self.board.say(node.name, f"{len(prompts):,} prompts answered by {node.writer}; now judged")
        made = rows_made(node, prompts, answers, self.judge, self.config.seed)
        keep_rows(self.run, node, made)

    def answers(self, node: Node, prompts: Sequence[Question]) -> list[list[Answer]]:
        """The writer's answers; replicas start only where some are missing, and wait for room."""
        settings, adapter = served(self.inputs, self.run, node.writer)
        with ExitStack() as stack:

            def load() -> Model:
                cpus = settings.replicas * settings.cpus_per_replica
                stack.enter_context(self.room.hold(cpus, settings.replicas * settings.gpus_per_replica))
                pool = PooledModel(settings)
                stack.callback(pool.close)
                return pool

            writer = LazyModel(load)
            return sample_answers(
                self.run,
                node,
                prompts,
                self.config.prefix,
                self.config.seed,
                lambda asked, sampling: writer.generate(asked, sampling, adapter),
                self.board.counting(node.name, f"answers by {node.writer}"),
            )


def train_graph(graph: Sequence[Node], stages: Stages) -> None:
    """Work on all nodes, each when what it needs is trained, at most `side_by_side` at a time.

    After an error no further node is begun; those at work are brought to their end, since a trained
    stage stays trained, and the error is raised.
    """
    waiting = [node for node in graph if not is_trained(stages.run, node.name)]
    trained = {node.name for node in graph} - {node.name for node in waiting}
    working: dict[Future[None], Node] = {}
    error: BaseException | None = None
    while working or (waiting and error is None):
        for node in [node for node in waiting if node.needs <= trained and error is None]:
            if len(working) < stages.config.side_by_side:
                waiting.remove(node)
                working[in_thread(stages.work, node)] = node
        for future in wait(working, return_when=FIRST_COMPLETED).done:
            node = working.pop(future)
            error = error or future.exception()
            trained.add(node.name)
    if error is not None:
        raise error


def evaluate(config: StagesConfig, inputs: Inputs, run: Run, judge: Judge) -> dict[str, Any]:
    """Compare the base and all trained models; the summary is written, too."""
    with ExitStack() as stack:

        def load(settings: ModelConfig) -> Model:
            pool = PooledModel(settings)
            stack.callback(pool.close)
            return pool

        base = LazyModel(lambda: load(inputs.model))
        models = trained_models(config, run)
        return evaluate_stages(config, run, models, inputs.evaluation, judge, base, load=load)


def write_prompts(run: Run, inputs: Inputs) -> None:
    """`prompts.parquet`: every prompt, the id of its question, and its part."""
    import pandas as pd

    rows = [
        {"prompt": question.text, "question": question.id, "part": part}
        for part, questions in (("train", inputs.train), ("evaluation", inputs.evaluation))
        for question in questions
    ]
    run.write_table(PROMPTS, pd.DataFrame(rows))
