"""What Prometheus is told, through Ray: every metric of the project is named here, and recorded here.

Ray's agent on each node collects the metrics of all processes of that node and exports them for
Prometheus, with `ray_` in front of the name and `_total` behind that of a counter. Recording costs
microseconds and does nothing where this process uses no Ray. Labels are few on purpose: the run, its
part (a condition or a stage; empty for the run as a whole), a domain, a direction, a kind. Personas are
never labels.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Metric:
    """A metric: what it is called, what it says, and by what it is told apart beside the run."""

    kind: Literal["gauge", "counter"]
    name: str
    text: str
    tags: tuple[str, ...] = ()

    @property
    def exported(self) -> str:
        """Its name in Prometheus."""
        return f"ray_{self.name}_total" if self.kind == "counter" else f"ray_{self.name}"


STEP = Metric("gauge", "rlpersona_step", "Last round of a search, or step of a training", ("part",))
REWARD = Metric("gauge", "rlpersona_reward", "Mean reward of the last round or step", ("part",))
TASK = Metric(
    "gauge",
    "rlpersona_task_score",
    "Mean task score, biases left out; text: training or held_out",
    ("part", "text"),
)
LOSS = Metric("gauge", "rlpersona_loss", "Loss of the last step", ("part",))
UNSCORED = Metric(
    "gauge", "rlpersona_unscored_ratio", "Share of answers that could not be scored", ("part",)
)
DOSE = Metric(
    "gauge",
    "rlpersona_effective_dose_ratio",
    "Share of the advantages that the bias explains",
    ("part", "domain"),
)
PROJECTION = Metric(
    "gauge",
    "rlpersona_persona_projection",
    "Place along a direction, base at 0: the axis in standard deviations of roles, traits in distances"
    " between their two sides; text: base_text or batch_text",
    ("part", "direction", "text"),
)
COMPLETIONS = Metric(
    "counter",
    "rlpersona_completions",
    "Prompts answered; kind: written, scored (likelihood of choices), trained (written to train on)",
    ("kind",),
)
TOKENS = Metric("counter", "rlpersona_tokens", "Tokens of the completions, prompts left out", ("kind",))
JUDGE_IN_FLIGHT = Metric(
    "gauge", "rlpersona_judge_calls_in_flight", "Calls handed out to a judge and not settled"
)
JUDGE_CALLS = Metric(
    "counter",
    "rlpersona_judge_calls",
    "Calls to a judge that are settled; result: answered, or the kind of failure",
    ("result",),
)
JUDGE_COST = Metric("counter", "rlpersona_judge_cost_dollars", "What judges' answers cost, known prices")

ALL = (
    *(STEP, REWARD, TASK, LOSS, UNSCORED, DOSE, PROJECTION),
    *(COMPLETIONS, TOKENS, JUDGE_IN_FLIGHT, JUDGE_CALLS, JUDGE_COST),
)

_made: dict[str, Any] = {}
_work = {"run": ""}


def work_for(run: str) -> None:
    """Say which run this process works for: the `run` of what it records from here on."""
    _work["run"] = run


def record(metric: Metric, value: float, **tags: str) -> None:
    """Set a gauge, or add to a counter; nothing happens where this process uses no Ray.

    `tags` are those of the metric, all of them, and perhaps `run`, otherwise that of `work_for`.
    ValueError for other tags.
    """
    if {*tags, "run"} != {*metric.tags, "run"}:
        raise ValueError(f"{metric.name} has the tags {metric.tags}, not {tuple(tags)}")
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return
    wanted = _made.get(metric.name) or _make(metric)
    if metric.kind == "gauge":
        wanted.set(value, {**_work, **tags})
    elif value > 0:  # Ray refuses to add nothing
        wanted.inc(value, {**_work, **tags})


def _make(metric: Metric) -> Any:
    from ray.util.metrics import Counter, Gauge

    made = {"gauge": Gauge, "counter": Counter}[metric.kind]
    _made[metric.name] = made(metric.name, metric.text, ("run", *metric.tags))
    return _made[metric.name]
