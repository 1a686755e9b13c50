"""One run, one self-contained HTML page: no script, nothing loaded from anywhere."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlpersona.report import curves, drawing, figures, leaderboard, words
from rlpersona.report.data import RunData, read_run
from rlpersona.report.pool import KINDS, composition, kinds_of
from rlpersona.store import REPORT, atomic

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment

T = TypeVar("T")

TOP_ERRORS = 5
ROLES = {
    "winner": "winners",
    "control": "no persona",
    "empty": "empty name",
    "nonsense": "nonsense names",
    "random": "random personas",
}


@dataclass(frozen=True, slots=True)
class Unscored:
    """Validation answers of one role, or on one other benchmark: how many were asked for, how many
    could not be scored."""

    label: str
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
    page = page_environment().get_template("template.html.jinja").render(_page(run))
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
    searched = bool(run.rounds or summary.winners)
    kinds = {kind: composition(personas, kind) for kind in kinds_of(personas) if searched}
    top = leaderboard.standings(personas)
    last = run.rounds[-1] if run.rounds else None
    level = next((winner.gain.level for winner in summary.winners if winner.gain.level), None) or 0.95
    return {
        "run": run,
        "summary": summary,
        "level": f"{100 * level:g} %",
        "best": summary.best,
        "figures": _figures(run, kinds, top),
        "kinds": kinds,
        "known": [kind for kind in KINDS if any(kind in row.kinds for row in top)],
        "top": top,
        "tallied": any(row.wins is not None for row in top),
        "tally": leaderboard.tally,
        "equivalence": words.equivalence(summary),
        "at_chance": words.at_chance(summary),
        "shrunken": any(row.shrunk is not None for row in top),
        "no_control": _no_control(run),
        "last": last,
        "effective": math.exp(last.entropy) if last is not None and last.entropy is not None else None,
        "unscored": _unscored(run),
        "errors": _errors(run),
        "provenance": list(flat_pairs(run.provenance)),
        "commands": _commands(run),
    }


def _no_control(run: RunData) -> bool:
    """Whether the run measured winners without the no-persona control."""
    return not (run.validation["role"] == "control").any()


def _figures(run: RunData, kinds: dict[str, Any], top: Sequence[leaderboard.Standing]) -> dict[str, str]:
    """Every figure of the page as SVG."""
    from markupsafe import Markup

    summary = run.summary
    drawn = {}
    if run.rounds or summary.winners:
        curve = figures.learning_curve(run.rounds, summary.personas, summary.measure)
        drawn["learning"] = curve, "Reward and entropy by round"
    if _no_control(run):
        fresh = figures.fresh_accuracies(summary)
        drawn["accuracies"] = fresh, "Accuracy on fresh questions, with intervals"
    elif summary.winners or summary.baselines:
        gains = figures.validated_gains(summary, random_gains(run.validation))
        drawn["gains"] = gains, "Gain of each winner over no persona on fresh questions, with intervals"
    if top:
        mean = leaderboard.training_mean(run.personas)
        board = leaderboard.leaderboard(top, mean, summary.null_maximum)
        drawn["leaders"] = board, "Reward in training of the most probable personas, with intervals"
    if curves.benchmarks_of(run.rounds):
        transfer = curves.transfer_curves(run.rounds)
        drawn["transfer"] = transfer, "Accuracy on other benchmarks by round"
    if any(len(one.groups or ()) > 1 for one in run.rounds):
        groups = curves.group_masses(run.rounds)
        drawn["groups"] = groups, "Share of the policy's probability of each group by round"
    if summary.winners and summary.reward == "accuracy":
        drawn["shrinkage"] = figures.shrinkage(summary), "Accuracy in training and on fresh questions"
    for kind, rows in kinds.items():
        description = f"Share of the pool and of the final policy by {kind}"
        drawn[f"pool-{kind}"] = (figures.policy_composition(rows), description)
    return {
        name: Markup(drawing.svg(figure, name, description))
        for name, (figure, description) in drawn.items()
    }


def _unscored(run: RunData) -> list[Unscored]:
    found = [
        _missing(label, run.validation[run.validation["role"] == role]) for role, label in ROLES.items()
    ]
    if not run.elsewhere.empty:
        for benchmark, rows in run.elsewhere.groupby("benchmark", sort=False):
            found.append(_missing(f"transfer to {words.clean(str(benchmark))}", rows))
    return [row for row in found if row.answers]


def _missing(label: str, rows: pd.DataFrame) -> Unscored:
    return Unscored(label, int(rows["persona"].nunique()), len(rows), int(rows["reward"].isna().sum()))


def _errors(run: RunData) -> list[tuple[str, int]]:
    """The most frequent reasons for missing scores, ties in alphabetical order."""
    errors = [*run.validation["error"].dropna(), *run.elsewhere["error"].dropna()]
    counts = Counter(map(str, errors))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_ERRORS]


def flat_pairs(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """`{"a": {"b": 1}}` as `("a.b", "1")`, lists in one line."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat_pairs(inner, f"{name}.{key}" if name else str(key))
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


def page_environment() -> Environment:
    """The environment of the pages' templates, with how numbers are written."""
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
