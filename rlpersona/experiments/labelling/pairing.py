"""The folder of a set of preference pairs: made once, from sampled answers or from a file.

runs/NAME/
  config.yaml, provenance.json
  checkpoints/answers/  sampled answers, a parquet part per block of prompts
  pairs.parquet         the pairs; its presence means that they are all there
  quarantine.jsonl      rows of a pairs file that were set aside, with place and reason
  labels/NAME.jsonl     one annotator's labels; ai-MODEL.jsonl those of a judge
  calls.sqlite          every call to a judge behind an API
  dpo/NAME/             preference rows by part, for training
  examination.json, summary.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import yaml

from rlpersona.config import LabelConfig
from rlpersona.errors import DataError, RunError
from rlpersona.models.locate import portable
from rlpersona.preferences.labels import Label, LabelBook, annotators, label_file, read_labels
from rlpersona.preferences.pairs import Answer, Pair, fingerprint, make_pairs
from rlpersona.preferences.reading import read_pairs
from rlpersona.provenance import provenance
from rlpersona.report.labelling import counter
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.store import CONFIG, PROVENANCE, Run, find, opened, up_to_date
from rlpersona.tasks import load_questions
from rlpersona.types import Model, Prompt, Question, Sampling

PAIRS, QUARANTINE, LABELS = "pairs.parquet", "quarantine.jsonl", "labels"


def prepare(config: LabelConfig, root: Path, *, resume: bool = False) -> Run:
    """The run of a config with all its pairs, made if they are not there.

    A bad pairs file is refused here, before any judge is asked. A killed sampling goes on at the block
    that it was in. Raises what `store.opened` raises, and DataError where no pair can be made.
    """
    import pandas as pd

    with opened(root.absolute(), config, resume=resume) as run:
        if not (run.folder / PAIRS).exists():
            pairs = _read(config, run) if config.pairs else _sample(config, run)
            if not pairs:
                raise DataError(
                    "No prompt got two different answers, so there is nothing to compare.",
                    "Draw more answers, or more varied ones: answers=8 temperature=1.2",
                )
            run.write_json(PROVENANCE, provenance({"pairs": fingerprint(pairs)}))
            run.write_table(PAIRS, pd.DataFrame([asdict(pair) for pair in pairs]))
    return run


def is_prepared(root: Path, name: str) -> bool:
    """Whether a run of this name has its pairs."""
    return (up_to_date(Run(root / name)).folder / PAIRS).exists()


def open_pairs(root: Path, name: str) -> tuple[Run, LabelConfig, list[Pair]]:
    """An existing run with its config and pairs; RunError where it has none."""
    import pandas as pd

    run = find(root, name)
    config = saved_config(run)
    try:
        rows = pd.read_parquet(run.folder / PAIRS).to_dict("records")
    except FileNotFoundError:
        raise RunError(
            f"Run '{name}' has no pairs yet.", f"Make them: rlpersona label ai {name} --resume"
        ) from None
    return run, config, [Pair(**{str(key): value for key, value in row.items()}) for row in rows]


def saved_config(run: Run) -> LabelConfig:
    """The config that a run was made with; RunError if it is no set of pairs."""
    values = yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8"))
    if values.get("experiment") != "label":
        raise RunError(
            f"Run '{run.name}' is a {values.get('experiment')}, not a set of pairs.",
            "Take another name: name=...",
        )
    return LabelConfig.model_validate(values)


def set_aside(run: Run) -> int:
    """How many rows of a pairs file were set aside."""
    path = run.folder / QUARANTINE
    return path.read_bytes().count(b"\n") if path.exists() else 0


def all_labels(run: Run) -> dict[str, dict[str, Label]]:
    """The labels of every annotator that has any."""
    folder = run.folder / LABELS
    found = {name: read_labels(label_file(folder, name)) for name in annotators(folder)}
    return {name: labels for name, labels in found.items() if labels}


def _read(config: LabelConfig, run: Run) -> list[Pair]:
    """The pairs of a file; the labels that stand in it go to the annotators' own files."""
    found = read_pairs(Path(str(config.pairs)).expanduser(), config.bad_rows)
    if found.rejected:
        lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in found.rejected]
        run.write_text(QUARANTINE, "".join(lines))
    for annotator, labels in found.labels.items():
        with LabelBook(label_file(run.folder / LABELS, annotator)) as book:
            book.add(*labels)
    return found.pairs


def _sample(config: LabelConfig, run: Run) -> list[Pair]:
    """k answers to each prompt, drawn by the configured model on Ray, and pairs of them."""
    questions = load_questions(
        config.benchmark,
        data=config.data,
        seed=config.seed,
        limit=config.prompt_limit,
        domains=config.domains,
    )
    questions = list({question.text: question for question in questions}.values())
    model = config.model.model_copy(update={"name": portable(config.model.name)})

    def load() -> Model:
        return PooledModel(model)

    with ray_session():
        answers = sample_answers(config, run, questions, load)
    return [
        pair
        for question, drawn in zip(questions, answers, strict=True)
        for pair in make_pairs(question.text, drawn, config.pairs_per_prompt, config.seed, question.id)
    ]


def sample_answers(
    config: LabelConfig, run: Run, questions: Sequence[Question], load: Callable[[], Model]
) -> list[list[Answer]]:
    """`config.answers` answers to each question, in order; blocks on the disk are not drawn again.

    The draw of answer j to question i depends on the seed and on its place i * answers + j, never on
    the block, so an interrupted sampling ends with the same answers. An answer that the token cap cut
    is left empty: half a text is no fair opponent.
    """
    import pandas as pd

    writers = config.writers or ("",)
    systems = {name: config.prefix.format(name=name) if name else None for name in writers}
    turns = [writers[j % len(writers)] for j in range(config.answers)]
    texts: list[str] = []
    model: Model | None = None
    try:
        with counter("prompts answered") as done:
            for start in range(0, len(questions), config.block):
                part = run.checkpoints / "answers" / f"{start:07d}.parquet"
                block = questions[start : start + config.block]
                if not part.exists():
                    model = model or load()
                    prompts = [Prompt.ask(q.text, systems[turn]) for q in block for turn in turns]
                    drawn = model.generate(prompts, _sampling(config, start * config.answers))
                    whole = [one.text.strip() if one.finish == "stop" else "" for one in drawn]
                    run.write_table(str(part.relative_to(run.folder)), pd.DataFrame({"text": whole}))
                texts += pd.read_parquet(part)["text"].tolist()
                done(start + len(block), len(questions))
    finally:
        if model is not None:
            with closing(model):
                pass
    answers = iter(texts)
    return [[Answer(next(answers), turn) for turn in turns] for _ in questions]


def _sampling(config: LabelConfig, offset: int) -> Sampling:
    return Sampling(config.max_tokens, config.temperature, config.top_p, config.seed, offset)
