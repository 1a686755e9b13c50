"""GRPO of several conditions in lockstep: one base, their adapters stacked, one batch of completions.

The loop is here, top to bottom: completions of all conditions, rewards of each, the loss of each, one
update of the stack. What is of one condition alone (reward, prompts, advantages, norm, log) is computed
for it alone, so a pack changes no result: `tests/unit/training/packed` holds that.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rlpersona.errors import ConfigError, PersonaError
from rlpersona.training.alarm import verdict
from rlpersona.training.checkpoints import FolderCheckpoints
from rlpersona.training.grpo import GRPOJob, check, total_steps
from rlpersona.training.job import OnStep
from rlpersona.training.packed import attention, state
from rlpersona.training.packed.looks import look
from rlpersona.training.packed.member import Member, Row
from rlpersona.training.packed.network import Network
from rlpersona.training.packed.sharing import refusal, shared
from rlpersona.training.packed.stack import Stack
from rlpersona.training.packed.updates import Batch, Optimizer, batch_of, update
from rlpersona.training.packed.writing import StackWriter, Writer
from rlpersona.training.start import load_start
from rlpersona.training.telemetry import step_measures

Outcome = dict[str, Any] | PersonaError
Times = dict[str, float]


def train_packed(
    jobs: Sequence[GRPOJob],
    checkpoints: FolderCheckpoints,
    on_steps: Sequence[OnStep | None] = (),
    times: Times | None = None,
) -> list[Outcome]:
    """Train the jobs together; for each what `train_grpo` returns, or the error that ended it.

    The jobs share everything but reward, seed, `scale_rewards`, prompts and folder (`sharing.shared`).
    Each gets the files and the rows of the log that `train_grpo` makes; `step_time` is its share of the
    time of a step. A condition whose reward fails, or whose loss or gradient is no number, is parked
    with its error; the others go on, bit for bit as they would have without it. `checkpoints` holds the
    whole pack: one that is resumed ends in the same weights (CPU). `times` collects seconds by phase.

    Raises:
        ConfigError: jobs that cannot be packed, or not together.
        DataError, ModelError: as `train_grpo`.
    """
    pack = _Pack(jobs, checkpoints, on_steps, {} if times is None else times)
    with closing(pack.writer):
        return pack.run()


class _Pack:
    """What the loop works on. `step` counts the updates that are done."""

    def __init__(
        self,
        jobs: Sequence[GRPOJob],
        checkpoints: FolderCheckpoints,
        on_steps: Sequence[OnStep | None],
        times: Times,
    ) -> None:
        _check(jobs)
        first = jobs[0]
        self.recipe, self.readout = first.config.recipe, first.config.readout
        self.steps = total_steps(first.config, len(first.train))
        batches = -(-self.steps // self.recipe.num_iterations)
        self.epoch = batches * self.recipe.num_iterations
        reports = list(on_steps) or [None] * len(jobs)
        self.members = [
            Member.of(index, job, batches, report)
            for index, (job, report) in enumerate(zip(jobs, reports, strict=True))
        ]
        self.lineage = first.start.lineage()
        self.times = times
        self.checkpoints = checkpoints
        self.network, self.writer = _loaded(first, [job.config.seed for job in jobs])
        self.initial = [self.network.stack.hash(member.index) for member in self.members]
        self.optimizer = Optimizer(self.network.stack, self.recipe, self.steps)
        self.step = 0
        self.batch: dict[int, Batch] = {}

    @property
    def live(self) -> list[Member]:
        """The conditions that are not parked."""
        return [member for member in self.members if member.error is None]

    def run(self) -> list[Outcome]:
        self._resume()
        begun, clock = self.step, time.perf_counter()
        if self.step == 0 and self._watched:
            for index, row in self._look({}).items():
                self.members[index].report({"step": 0, **row})
        while self.step < self.steps and self.live:
            self._advance()
        seconds = time.perf_counter() - clock
        for member in self.live:
            self.network.stack.save(member.index, member.job.out / "adapter", self.lineage)
        return [self._outcome(member, begun, seconds) for member in self.members]

    def _advance(self) -> None:
        """One update of every live condition."""
        began = time.perf_counter()
        if self.step % self.recipe.num_iterations == 0:
            self._write()
        if not self.live:
            return
        rows = update(self.network, self.live, self.batch, self.optimizer, self.step, self.clocked)
        self.step += 1
        progress = {"step_time": (time.perf_counter() - began) / max(1, len(self.live))}
        for member in self.live:
            measures = self.batch[member.index].measures if self._fresh else {}
            rows[member.index] |= measures | progress
        due = self.step % self.readout.watch_every == 0 or self.step == self.steps
        looks = self._look(rows) if due and self._watched and rows else {}
        for member in self.live:
            row = rows[member.index] | looks.get(member.index, {})
            member.report({"step": self.step, **row, "epoch": self.step / self.epoch})
        self._keep()

    @property
    def _fresh(self) -> bool:
        """Whether the last update was the first on its completions."""
        return (self.step - 1) % self.recipe.num_iterations == 0

    @property
    def _watched(self) -> bool:
        return bool(self.members[0].watched)

    def _write(self) -> None:
        """Completions of all live conditions, and what each of them earns."""
        live = self.live
        number = self.step // self.recipe.num_iterations
        asked = [m.questions(number) for m in live]
        with self.clocked("completions"):
            written = self.writer.write(
                [
                    (
                        m.index,
                        questions,
                        self.recipe.num_generations,
                        ("rollout", m.job.config.seed, number),
                    )
                    for m, questions in zip(live, asked, strict=True)
                ]
            )
        with self.clocked("rewards"):
            self.batch = {}
            for member, texts in zip(live, written, strict=True):
                try:
                    rollouts = member.rewarded(texts.answers, self.step)
                except Exception as error:  # the border of a condition: the others go on
                    member.park(error)
                    continue
                batch = batch_of(texts, rollouts, member.job.config.recipe, self.network.device)
                batch.measures = step_measures(
                    rollouts, batch.advantages.tolist(), self.recipe.num_generations
                )
                self.batch[member.index] = batch

    def _look(self, rows: dict[int, Row]) -> dict[int, Row]:
        """Measures of the held-out prompts; `rows` are those of the last update, not logged yet."""
        with self.clocked("looks"):
            found = look(self.network, self.writer, self.live, self.step)
        for member in self.live:
            total = rows.get(member.index, {}).get("total")
            now = [] if total is None else [(self.step, total)]
            found[member.index] |= verdict(member.looks, [*member.totals, *now])
        return found

    def _keep(self) -> None:
        """Snapshots and the checkpoint, where they are due; none after the last update."""
        if self.step >= self.steps:
            return
        every = self.readout.every
        if every is not None and self.step % every == 0:
            for member in self.live:
                folder = member.job.out / "steps" / f"step-{self.step:06d}"
                self.network.stack.save(member.index, folder, self.lineage)
        if self.step % self.recipe.checkpoint_every == 0:
            with tempfile.TemporaryDirectory(prefix="rlpersona-") as kept:
                state.save(Path(kept), self.step, self.network.stack, self.optimizer, self.members)
                last = next((m.last for m in self.live), {})
                self.checkpoints.save(Path(kept), last)

    def _resume(self) -> None:
        with tempfile.TemporaryDirectory(prefix="rlpersona-") as kept:
            if self.checkpoints.load(Path(kept)):
                self.step = state.load(Path(kept), self.network.stack, self.optimizer, self.members)

    def _outcome(self, member: Member, begun: int, seconds: float) -> Outcome:
        if member.error is not None:
            return member.error
        done = (self.step - begun) * self.recipe.batch
        return {
            **{key: value for key, value in member.last.items() if key != "step"},
            "steps": self.step,
            "resumed_at": begun,
            "seconds": seconds,
            "samples_per_second": done / seconds,
            "trainable_parameters": self.network.stack.size,
            "adapter_init": self.initial[member.index],
            "packed": len(self.members),
        }

    @contextmanager
    def clocked(self, phase: str) -> Iterator[None]:
        """Add the block's seconds to a phase."""
        began = time.perf_counter()
        yield
        self.times[phase] = self.times.get(phase, 0.0) + time.perf_counter() - began


def _loaded(job: GRPOJob, seeds: Sequence[int]) -> tuple[Network, Writer]:
    recipe = job.config.recipe
    net, tokenizer = load_start(job.start, quantize=recipe.quantize)
    cuda = job.start.on_cuda
    stack = Stack(net, recipe.lora, seeds, "cuda" if cuda else "cpu")
    attention.prepare(net)
    network = Network(net, stack, recipe.temperature, together=cuda)
    if recipe.rollouts == "vllm":
        from rlpersona.training.packed.engine import EngineWriter

        return network, EngineWriter(network, tokenizer, job)
    return network, StackWriter(network, tokenizer, recipe.max_completion)


def _check(jobs: Sequence[GRPOJob]) -> None:
    """ConfigError or DataError before anything is loaded."""
    if not jobs:
        raise ConfigError("there is nothing to train", "Give at least one job.")
    for job in jobs:
        if why := refusal(job.config):
            raise ConfigError(
                f"this training cannot be packed: {why}", "Train it unpacked: packed=false."
            )
        check(job)
    alike = {
        (shared(job.config), job.start.adapters, total_steps(job.config, len(job.train))) for job in jobs
    }
    if len(alike) > 1:
        raise ConfigError(
            "these trainings cannot share a pack: they differ in more than reward, seed, scale_rewards"
            " and name",
            "Pack those that agree.",
        )
