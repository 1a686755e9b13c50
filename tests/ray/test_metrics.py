"""What Prometheus scrapes of real work on a real Ray, and the dashboard that asks for it."""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from rlpersona.config import BanditConfig, GRPOConfig
from rlpersona.experiments.bandit.search import run_bandit
from rlpersona.experiments.dose.grpo import run_grpo
from rlpersona.experiments.tracking.gauges import Gauges
from rlpersona.experiments.tracking.rows import Update, step_of
from rlpersona.judges.ledger import Attempt, Outcome
from rlpersona.resolve import resolve
from rlpersona.runtime import metrics
from rlpersona.runtime.fanout import Fanout
from rlpersona.runtime.judging import Counted
from rlpersona.store import METRICS
from rlpersona.types import ApiCall, ApiReply, Message
from tests.support import ROOT, wait_until
from tests.unit.experiments.tracking.event_files import scalars_in

REPORTED = 90  # seconds after which a process has told its metrics, which it does every ten


@dataclass(frozen=True)
class Sample:
    """One line of what Prometheus gets."""

    name: str
    labels: dict[str, str]
    value: float


class Prometheus:
    """Scrapes the only node of this Ray every second, and remembers the last value of each series.

    Ray exports a gauge for as long as it is set, not for ever.
    """

    def __init__(self) -> None:
        import ray

        (node,) = ray.nodes()
        assert node["NodeManagerAddress"] == "127.0.0.1"
        self.url = f"http://127.0.0.1:{node['MetricsExportPort']}/metrics"
        self.last: dict[tuple[str, str], Sample] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._scrape, daemon=True)

    def __enter__(self) -> Prometheus:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def total(self, metric: metrics.Metric, **labels: str) -> float:
        """The sum over the series that have these labels."""
        found = [one for one in list(self.last.values()) if one.name == metric.exported]
        return sum(one.value for one in found if labels.items() <= one.labels.items())

    def names(self) -> set[str]:
        return {one.name for one in list(self.last.values())}

    def _scrape(self) -> None:
        while not self._over.wait(1):
            with suppress(OSError), urllib.request.urlopen(self.url, timeout=30) as answer:
                for one in samples(answer.read().decode().splitlines()):
                    self.last[one.name, str(one.labels)] = one


def samples(lines: list[str]) -> Iterator[Sample]:
    for line in lines:
        found = re.fullmatch(r"(ray_rlpersona_\w+)\{(.*)\} (\S+)", line)
        if found:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', found[2]))
            yield Sample(found[1], labels, float(found[3]))


def test_a_run_shows_its_metrics_and_every_query_of_the_dashboard_finds_one(tmp_path: Path) -> None:
    settings = ["suite.domains=math,claim", "suite.size=16", "suite.evaluation=4", "recipe.max_steps=3"]
    settings += ["recipe.batch=8", "recipe.num_generations=4", "recipe.max_completion=24"]
    settings += ["readout.samples=1", "readout.max_tokens=16", "readout.held_out=2"]
    settings += ["reward.biases.length=0.5", "name=short"]
    search = ["name=search", "persona_limit=6", "rounds=2", "domains=math", "validation.winners=1"]
    with Prometheus() as seen:
        run_grpo(resolve(GRPOConfig(), (), settings), tmp_path)
        run_bandit(resolve(BanditConfig(), (), search), tmp_path)
        metrics.work_for("short")
        judged()
        drift = {"step": 3, "drift/axis/base_text": 0.25, "drift/trait truth/batch_text": -1.0}
        Gauges("short").show("", tmp_path, Update([drift], anew=False, fresh=1))
        names = {metric.exported for metric in metrics.ALL}
        # A report may fall between the judge's calls.
        wait_until(
            lambda: seen.names() >= names and seen.total(metrics.JUDGE_CALLS, run="short") == 3, REPORTED
        )

    log = [json.loads(row) for row in (tmp_path / "short/metrics.jsonl").read_text().splitlines()]
    assert seen.total(metrics.STEP, run="short", part="") == 3
    assert seen.total(metrics.REWARD, run="short") == pytest.approx(log[-1]["total"])
    for domain in ("math", "claim"):
        dose = seen.total(metrics.DOSE, run="short", domain=domain)
        assert dose == pytest.approx(log[-1].get(f"{domain}/effective_dose", 0))
    assert seen.total(metrics.COMPLETIONS, run="short", kind="trained") == 24
    tokens = sum(8 * row["length"] for row in log if row["step"])
    assert seen.total(metrics.TOKENS, run="short", kind="trained") == pytest.approx(tokens)
    written = len(pd.read_parquet(tmp_path / "short/readout.parquet"))
    assert seen.total(metrics.COMPLETIONS, run="short", kind="written") == written == 8
    assert seen.total(metrics.REWARD, run="search") > 0
    assert seen.total(metrics.PROJECTION, direction="axis", text="base_text") == 0.25
    assert seen.total(metrics.JUDGE_COST, run="short") == pytest.approx(0.03)
    assert seen.total(metrics.JUDGE_CALLS, run="short", result="answered") == 2
    assert seen.total(metrics.JUDGE_CALLS, run="short", result="timeout") == 1

    for name, number in (("short", "total"), ("search", "reward")):
        rows = [json.loads(row) for row in (tmp_path / name / METRICS).read_text().splitlines()]
        shown = scalars_in(tmp_path / name / "tensorboard")[number]
        assert shown == [(step_of(row), pytest.approx(row[number])) for row in rows if number in row]

    labels = {label for one in seen.last.values() for label in one.labels}
    assert not labels & {"persona", "name", "question"}, "as many series as personas"
    assert queried() == names, "a query without a metric, or a metric without a panel"


def judged() -> None:
    """Three calls of a cent each through the actor that asks; one gets no answer."""

    def asker() -> Callable[[ApiCall], Awaitable[Outcome]]:
        async def ask(call: ApiCall) -> Outcome:
            paid = (Attempt(1, 0.0, 0.1, cost=0.01),)
            if call.sample == 2:
                return Outcome(call, paid, None, "timeout")
            return Outcome(call, paid, ApiReply("{}", "stop", 1, 1))

        return ask

    with Fanout[ApiCall, Outcome](asker) as actor:
        workers = Counted(actor)
        for sample in range(3):
            call = ApiCall("local", "m", (Message("user", "?"),), sample=sample)
            workers.put(call.key, call)
        settled = 0
        while workers.under_way:
            settled += len(workers.take(1.0))
    assert settled == 3


def queried() -> set[str]:
    """The metrics that the panels and variables of the dashboard name."""
    board = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [one["query"]["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    return {name for query in queries for name in re.findall(r"\bray_\w+", query)}
