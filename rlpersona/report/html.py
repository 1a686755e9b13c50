"""One run, one self-contained HTML page: no script, nothing loaded from anywhere."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlpersona.report import drawing, figures, words
from rlpersona.report.data import RunData, read_run
from rlpersona.report.pool import KINDS, composition, kinds_of
from rlpersona.store import REPORT, atomic

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment

T = TypeVar("T")

TOP_PERSONAS = 10
TOP_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Unscored:
    """Validation answers of one role: how many were asked for, how many could not be scored."""

    role: str
    personas: int
    answers: int
    unscored: int


def write_report(folder: Path) -> Path:
    """Write `report.html` into the run folder and return its path.

    The page is made from the files in the folder alone; the same files give the same bytes. RunError
    if one is missing or broken, StorageError if the page cannot be written; a page that was there
    before is replaced whole or not at all.
    """
    run = read_run(folder)
    page = _environment().get_template("template.html.jinja").render(_page(run))
    path = folder / REPORT
    with atomic(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def random_gains(validation: pd.DataFrame) -> list[figures.RandomGain]:
    """Mean gain over the control of each randomly drawn persona, on the questions that both answered
    with a score; personas without such a question are left out."""
    control = validation[validation["role"] == "control"].groupby("question")["reward"].mean()
    drawn = validation[validation["role"] == "random"]
    difference = drawn["reward"] - drawn["question"].map(control)
    means = difference.groupby(drawn["persona"].astype(str)).mean().dropna()
    return [figures.RandomGain(str(persona), float(gain)) for persona, gain in means.items()]


def _page(run: RunData) -> dict[str, Any]:
    """What the template is filled with."""
    summary, personas = run.summary, run.personas
    kinds = {kind: composition(personas, kind) for kind in kinds_of(personas)}
    top = personas.sort_values(["probability", "reward"], ascending=False, kind="stable").head(
        TOP_PERSONAS
    )
    last = run.rounds[-1] if run.rounds else None
    level = next((winner.gain.level for winner in summary.winners if winner.gain.level), None) or 0.95
    return {
        "run": run,
        "summary": summary,
        "level": f"{100 * level:g} %",
        "best": summary.best,
        "figures": _figures(run, kinds),
        "kinds": kinds,
        "known": [kind for kind in KINDS if top[kind].notna().any()],
        "top": [_plain(row) for row in top.to_dict("records")],
        "last": last,
        "effective": math.exp(last.entropy) if last is not None and last.entropy is not None else None,
        "unscored": _unscored(run.validation),
        "errors": _errors(run.validation),
        "provenance": list(_flat(run.provenance)),
        "commands": _commands(run),
    }


def _figures(run: RunData, kinds: dict[str, Any]) -> dict[str, str]:
    """Every figure of the page as SVG."""
    from markupsafe import Markup

    summary = run.summary
    curve = figures.learning_curve(run.rounds, summary.personas, summary.measure)
    drawn = {"learning": (curve, "Reward and entropy by round")}
    if summary.winners:
        gains = figures.validated_gains(summary, random_gains(run.validation))
        drawn["gains"] = gains, "Gain of each winner over no persona on fresh questions, with intervals"
    if summary.winners and summary.reward == "accuracy":
        drawn["shrinkage"] = figures.shrinkage(summary), "Accuracy in training and on fresh questions"
    for kind, rows in kinds.items():
        description = f"Share of the pool and of the final policy by {kind}"
        drawn[f"pool-{kind}"] = (figures.policy_composition(rows), description)
    return {
        name: Markup(drawing.svg(figure, name, description))
        for name, (figure, description) in drawn.items()
    }


def _unscored(validation: pd.DataFrame) -> list[Unscored]:
    found = []
    for role in ("winner", "control", "random"):
        rows = validation[validation["role"] == role]
        missing = int(rows["reward"].isna().sum())
        found.append(Unscored(role, int(rows["persona"].nunique()), len(rows), missing))
    return found


def _errors(validation: pd.DataFrame) -> list[tuple[str, int]]:
    """The most frequent reasons for missing scores, ties in alphabetical order."""
    counts = validation["error"].dropna().astype(str).value_counts()
    ordered = sorted(
        ((str(text), int(n)) for text, n in counts.items()), key=lambda item: (-item[1], item[0])
    )
    return ordered[:TOP_ERRORS]


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    """A row of a table with every missing value as None."""
    return {
        str(key): None if isinstance(value, float) and math.isnan(value) else value
        for key, value in row.items()
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """`{"a": {"b": 1}}` as `("a.b", "1")`, lists in one line."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        yield name, ", ".join(str(item) for item in value)
    else:
        yield name, "not known" if value is None else str(value)


def _commands(run: RunData) -> list[str]:
    """The shell lines that repeat the run under another name."""
    name = run.summary.run
    lines = []
    commit = re.fullmatch(r"([0-9a-f]{7,64})(\+changes)?", str(run.provenance.get("git_commit")))
    if commit:
        lines.append(
            f"git checkout {commit[1]}" + ("  # and the changes that were on top" if commit[2] else "")
        )
    experiment, config = shlex.quote(run.summary.experiment), shlex.quote(f"runs/{name}/config.yaml")
    return [*lines, f"rlpersona {experiment} {config} {shlex.quote(f'name={name}-again')}"]


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rlpersona", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clean": lambda text: words.clean(str(text)),
        "block": words.clean_block,
        "n": words.count,
        "pct": _unbroken(words.percent),
        "pp": _unbroken(words.points),
        "p": _unbroken(words.p_value),
        "share": _unbroken(words.share_interval),
        "gain": _unbroken(words.gain_interval),
        "time": _unbroken(words.duration),
    }
    return environment


def _unbroken(write: Callable[[T], str]) -> Callable[[T], str]:
    """The same words with spaces at which no line is broken."""
    return lambda value: write(value).replace(" ", "\u00a0")
