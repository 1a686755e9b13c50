"""What each checkpoint of a GRPO training writes on prompts that no training saw, and how it behaves.

Every completion is one row. Completions are kept block by block under what decides them (weights,
prompts, sampling), so a killed readout goes on at its block, conditions of one seed share the readout
of the base, and nothing is taken for the answers of other weights. What is measured of a text is
computed anew each time: it costs nothing beside the drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.config import GRPOConfig
from rlpersona.errors import ModelError
from rlpersona.experiments.ranking.responses import LazyModel, Load, weights_of
from rlpersona.models.adapters import CONFIG as ADAPTER
from rlpersona.report.labelling import counter
from rlpersona.stats.run_values import KEYS
from rlpersona.store import Run
from rlpersona.tasks.identity import digest, unit
from rlpersona.types import Completion, Model, Prompt, Question, Sampling

if TYPE_CHECKING:
    import pandas as pd

    from rlpersona.judges.rubric import AspectJudge
    from rlpersona.rewards import Answer

READOUT, PARTS = "readout.parquet", "readout"
BLOCK = 1024  # completions between two saves


def read_out(
    config: GRPOConfig,
    folder: Path,
    model: Model,
    questions: Sequence[Question],
    steps: Sequence[int] | None = None,
    *,
    load: Load | None = None,
    parts: Path | None = None,
    condition: str | None = None,
) -> pd.DataFrame:
    """Draw `config.readout.samples` completions of each question from each checkpoint, and measure them.

    One row a completion: `condition` (the folder's name unless given), `step`, `domain`, `question` (its
    id), `sample`, `prompt`, `text`, `tokens` (without the one that ends the text), `finish` ("length":
    cut by the cap), `correct` (1 or 0; None where nothing is right or wrong or could be read), `task`
    (the task's reward; None where it could not be scored, with the reason in `error`), and the measures
    of `behaviour.measures`. Written to `folder/readout.parquet`, and returned.

    `steps` are those of the checkpoints in `folder`, 0 the base; None takes all there are. `model` is
    the base and serves every adapter; a checkpoint that is a whole model is loaded by `load`. `parts`
    keeps the drawn completions: give conditions of one sweep the same folder. The draws depend on the
    seed, the prompt and the sample alone: conditions of one seed and their base share them. ModelError
    for a step without checkpoint.
    """
    import pandas as pd

    checkpoints = checkpoints_of(folder, config.recipe.max_steps or _logged_steps(folder))
    wanted = sorted(checkpoints) if steps is None else sorted(set(steps))
    if missing := [step for step in wanted if step not in checkpoints]:
        raise ModelError(
            f"{folder} has no checkpoint of step {missing[0]}; it has {sorted(checkpoints)}.",
            "Finish the training with --resume, or read out the steps that are there.",
        )
    drawing = _Drawing(config, list(questions), model, load, parts or folder / PARTS)
    tables = []
    with counter("completions read out") as done:
        total = len(wanted) * drawing.total
        for step in wanted:
            for part in drawing.parts_of(checkpoints[step]):
                tables.append(part.assign(condition=condition or folder.name, step=step))
                done(sum(map(len, tables)), total)
    table = measured(pd.concat(tables, ignore_index=True), questions)
    Run(folder).write_table(READOUT, table)
    return table


def checkpoints_of(folder: Path, last: int | None = None) -> dict[int, str | None]:
    """The checkpoints of a training by their step: 0 the base (None), then `steps/step-NNNNNN`.

    What the training ended with (`adapter` or `model`) stands for step `last` if that has no folder of
    its own.
    """
    found: dict[int, str | None] = {0: None}
    for path in sorted((folder / "steps").glob("step-[0-9]*")):
        found[int(path.name.removeprefix("step-"))] = str(path)
    for end in ("adapter", "model"):
        if last is not None and last not in found and (folder / end).is_dir():
            found[last] = str(folder / end)
    return found


def draw(
    config: GRPOConfig,
    questions: Sequence[Question],
    model: Model,
    checkpoint: str | None,
    parts: Path,
    load: Load | None = None,
) -> pd.DataFrame:
    """Completions of the questions from one checkpoint (None: the base), without their measures: a row
    each, samples of a question together, in the order of the questions; kept under `parts`."""
    import pandas as pd

    drawing = _Drawing(config, list(questions), model, load, parts)
    return pd.concat(list(drawing.parts_of(checkpoint)), ignore_index=True)


def _logged_steps(folder: Path) -> int | None:
    """The last step in `metrics.jsonl`: how long a training was whose length its epochs decided."""
    return max((int(row["step"]) for row in Run(folder).metrics()), default=None)


def measured(table: pd.DataFrame, questions: Sequence[Question]) -> pd.DataFrame:
    """The completions with `correct`, `task`, `error` and the behaviour measures of each."""
    import pandas as pd

    from rlpersona.behaviour.measures import measure
    from rlpersona.config import RewardConfig
    from rlpersona.rewards import OBJECTIVE, Answer, make_reward

    known = {question.id: question for question in questions}
    asked = [known[one] for one in table["question"]]
    texts = list(zip(asked, table["text"], table["tokens"], table["finish"], strict=True))
    cap = int(table["tokens"].max()) + 1 if len(table) else 1
    answers = [Answer(question, text, tokens, end == "stop") for question, text, tokens, end in texts]
    scored = make_reward(RewardConfig(), 0, cap)(answers)
    correct = [
        float(task >= 1) if task is not None and question.domain in OBJECTIVE else None
        for question, task in zip(asked, scored.task, strict=True)
    ]
    for at, passed in zip(*_executed(answers), strict=True):
        correct[at] = passed
    behaviour = pd.DataFrame(
        [measure(text, question, tokens, finish) for question, text, tokens, finish in texts],
        index=table.index,
    )
    scores = pd.DataFrame(
        {"correct": correct, "task": scored.task, "error": scored.errors}, index=table.index
    )
    kept = table.assign(prompt=[question.text for question in asked]).join(scores)
    kept = kept.join(behaviour[[name for name in behaviour if name not in kept]])
    numbers = ["correct", "task", *(str(name) for name in behaviour if name not in table)]
    kept[numbers] = kept[numbers].astype("float64")
    return kept[[*KEYS, *(name for name in kept if name not in KEYS)]]


def _executed(answers: Sequence[Answer]) -> tuple[list[int], list[float | None]]:
    """Which answers are programs with tests, and whether each passes them; None where it was not run.

    While training a program earns its task score by its structure; here it is run.
    """
    from rlpersona.rewards.tasks.execution import score_all, tests_of

    places = [at for at, answer in enumerate(answers) if tests_of(answer.question)]
    return places, [score.reward for score in score_all([answers[at] for at in places])]


def judged(table: pd.DataFrame, questions: Sequence[Question], judge: AspectJudge) -> pd.DataFrame:
    """The completions with a judge's level of each aspect, `judge_ASPECT` (1 to 5, nan where the judge
    failed) and `judge_error`, which says why."""
    import pandas as pd

    known = {question.id: question.text for question in questions}
    answers = [(known[q], text) for q, text in zip(table["question"], table["text"], strict=True)]
    ratings = judge.rate(answers)
    columns: dict[str, Any] = {
        f"judge_{aspect}": [
            float("nan") if one.scores is None else float(one.scores[aspect]) for one in ratings
        ]
        for aspect in judge.aspects
    }
    columns["judge_error"] = [one.error for one in ratings]
    return table.join(pd.DataFrame(columns, index=table.index))


def inferred(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The completions with what the inference model `name` (a folder or hub id) makes of them.

    `nli_agreement`: P(entails) - P(contradicts) of the prompt, whose words are taken as the user's
    claim, in [-1, 1]. `nli_contradiction`: share of pairs of sentences that contradict each other, nan
    below two sentences.
    """
    import pandas as pd

    from rlpersona.behaviour.nli import NLI

    nli = NLI.load(name)
    texts = [str(text) for text in table["text"]]
    columns = {
        "nli_agreement": nli.agreement([str(prompt) for prompt in table["prompt"]], texts),
        "nli_contradiction": [nli.contradiction(text) for text in texts],
    }
    return table.join(pd.DataFrame(columns, index=table.index, dtype="float64"))


@dataclass(frozen=True)
class _Drawing:
    """Completions of the questions from one checkpoint after another, from the disk where they are."""

    config: GRPOConfig
    questions: list[Question]
    model: Model
    load: Load | None
    folder: Path

    @property
    def samples(self) -> int:
        """Completions of a question: one where greedy decoding would only repeat it."""
        return self.config.readout.samples if self.config.readout.temperature > 0 else 1

    @property
    def total(self) -> int:
        return len(self.questions) * self.samples

    def parts_of(self, checkpoint: str | None) -> Iterator[pd.DataFrame]:
        """The blocks of one checkpoint: columns domain, question, sample, text, tokens, finish."""
        import pandas as pd

        seed = int(unit("readout", self.config.seed) * 2**31)
        settings = self.config.readout
        sampling = Sampling(settings.max_tokens, settings.temperature, 1.0, seed)
        run, key = Run(self.folder), self._key(checkpoint, sampling)
        step = max(1, BLOCK // self.samples)
        with self._serving(checkpoint) as (serving, adapter):
            for start in range(0, len(self.questions), step):
                name = f"{key}/{start:07d}.parquet"
                if not (run.folder / name).exists():
                    rows = [
                        (question, sample)
                        for question in self.questions[start : start + step]
                        for sample in range(self.samples)
                    ]
                    drawn = serving.generate(
                        [Prompt.ask(question.text) for question, _ in rows],
                        replace(sampling, offset=start * self.samples),
                        adapter,
                    )
                    run.write_table(
                        name,
                        pd.DataFrame([_row(*row, one) for row, one in zip(rows, drawn, strict=True)]),
                    )
                yield pd.read_parquet(run.folder / name)

    @contextmanager
    def _serving(self, checkpoint: str | None) -> Iterator[tuple[Model, str | None]]:
        """Who answers for a checkpoint: the base with its adapter, or a whole model loaded for it."""
        if checkpoint is None or (Path(checkpoint) / ADAPTER).exists():
            yield self.model, checkpoint
            return
        loading = self.load
        if loading is None:
            raise ModelError(
                f"{checkpoint} is a whole model, no adapter.", "Read it out with: rlpersona evaluate RUN"
            )
        whole = self.config.model.model_copy(update={"name": str(checkpoint)})
        own = LazyModel(lambda: loading(whole))
        try:
            yield own, None
        finally:
            own.close()

    def _key(self, checkpoint: str | None, sampling: Sampling) -> str:
        """16 hex digits that stand for all that decides the completions."""
        engine = self.config.model.model_dump(include={"name", "engine", "device", "dtype", "window"})
        texts = [question.text for question in self.questions]
        drawn = [sampling.max_tokens, sampling.temperature, sampling.seed, self.samples]
        return digest(sorted(engine.items()), weights_of(checkpoint), texts, drawn)[:16]


def _row(question: Question, sample: int, one: Completion) -> dict[str, object]:
    return {
        "domain": question.domain,
        "question": question.id,
        "sample": sample,
        "text": one.text.strip(),
        "tokens": len(one.token_ids) - (one.finish == "stop"),
        "finish": one.finish,
    }
