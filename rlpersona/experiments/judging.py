"""From the name of a judge to one that can be asked, and what asking it would cost."""

from __future__ import annotations

import re
import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from rlpersona.config import JudgeConfig
from rlpersona.errors import ConfigError, did_you_mean
from rlpersona.judges.asking import JudgeModel
from rlpersona.judges.base import Judge
from rlpersona.judges.base import Pair as JudgedPair
from rlpersona.judges.estimate import Estimate, estimate
from rlpersona.judges.ledger import Ledger, Outcome
from rlpersona.judges.pairwise import ApiJudge
from rlpersona.judges.prices import load_prices
from rlpersona.preferences.pairs import Pair
from rlpersona.report.labelling import counter
from rlpersona.runtime import metrics
from rlpersona.store import Run
from rlpersona.types import ApiCall

if TYPE_CHECKING:
    from rlpersona.judges.batch import BatchClient
    from rlpersona.judges.client import Endpoint, JudgeClient

KNOWN = ("rules", "openai", "anthropic")
CALLS = "calls.sqlite"
RULES_BLOCK = 256  # pairs between two saves
API_BLOCK = 4096  # as each block ends with fewer and fewer calls in flight


@dataclass(frozen=True, slots=True)
class JudgeChoice:
    """Which judge: `rules`, or a provider with a model. Dollars and limits a minute; None: no limit.

    A `batch` costs half and takes up to a day.
    """

    judge: str = "rules"
    model: str = ""
    base_url: str = ""
    both_orders: bool = True
    max_cost: float | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    prices: Path | None = None
    batch: bool = False

    def __post_init__(self) -> None:
        if self.judge not in KNOWN:
            raise ConfigError(f"There is no judge '{self.judge}'.", did_you_mean(self.judge, KNOWN))
        if self.judge != "rules" and not self.model:
            raise ConfigError(f"Which model of {self.judge} judges?", "Name it: --judge-model MODEL")
        if self.judge == "rules" and (self.model or self.base_url or self.batch):
            raise ConfigError("The rules ask no model.", "Name a provider, too: --judge openai")
        if self.batch and (self.requests_per_minute or self.tokens_per_minute):
            raise ConfigError(
                "A batch has no limits a minute.", "Leave out --rpm and --tpm, or --batch."
            )

    @property
    def block(self) -> int:
        """Pairs to judge between two saves; all of them in batches, each of which may take a day."""
        if self.batch:
            return sys.maxsize
        return RULES_BLOCK if self.judge == "rules" else API_BLOCK

    @property
    def judge_model(self) -> JudgeModel:
        """The model as the graders take it."""
        provider = cast(Literal["openai", "anthropic"], self.judge)
        return JudgeModel(provider, self.model, self.base_url)


def choice_of(config: JudgeConfig) -> JudgeChoice:
    """The judge that a config names."""
    given = config.model_dump(exclude={"by", "prices"})
    return JudgeChoice(config.by, prices=Path(config.prices) if config.prices else None, **given)


def machine_name(choice: JudgeChoice, annotator: str | None) -> str:
    """The name of a judge's labels: `ai-` and the model, in letters that a file's name may have."""
    if annotator is not None and not annotator.startswith("ai-"):
        raise ConfigError(
            f"'{annotator}' would pass for a person.", f"Begin a judge's name with ai-: ai-{annotator}"
        )
    name = annotator or f"ai-{choice.model or choice.judge}"
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:64]


@contextmanager
def opened_judge(choice: JudgeChoice, run: Run, again: str) -> Iterator[Judge]:
    """The judge, ready to compare while the block works; `again` is the command that goes on.

    One behind an API asks in batches or through an actor of Ray, keeps every call in the run's ledger
    and is paid for none twice. Raises JudgeError without a key, RunLockedError if another process writes
    the ledger.
    """
    if choice.judge == "rules":
        from rlpersona.judges.rules import RuleJudge

        yield RuleJudge()
        return
    from rlpersona.judges.client import Endpoint

    endpoint = Endpoint(
        choice.judge,
        choice.base_url,
        choice.requests_per_minute,
        choice.tokens_per_minute,
        prices=load_prices(choice.prices),
    )
    metrics.work_for(run.name)
    with Ledger.open(run.folder / CALLS) as ledger, _asking(choice, endpoint, ledger, again) as client:
        turn = threading.Lock()  # rounds in flight ask from threads of their own

        def ask(calls: Sequence[ApiCall]) -> list[Outcome]:
            answered = 0
            with turn, counter("calls answered") as done:

                def more(n: int) -> None:
                    nonlocal answered
                    answered += n
                    done(answered, len(calls))

                return client.ask(calls, more)

        yield ApiJudge(choice.judge_model, ask, choice.both_orders)


@contextmanager
def _asking(
    choice: JudgeChoice, endpoint: Endpoint, ledger: Ledger, again: str
) -> Iterator[BatchClient | JudgeClient]:
    """Who asks the endpoint."""
    if choice.batch:
        from rlpersona.judges.batch import BatchClient

        yield BatchClient(endpoint, ledger, choice.max_cost, again)
        return
    from rlpersona.runtime.judging import judge_client
    from rlpersona.runtime.session import ray_session

    with ray_session(), judge_client(endpoint, ledger, choice.max_cost, again) as client:
        yield client


def resume_command(choice: JudgeChoice, run: Run, annotator: str) -> str:
    """The command line that goes on with the labels of this judge."""
    words = [
        "rlpersona",
        "label",
        "ai",
        run.name,
        "--judge",
        choice.judge,
        "--judge-model",
        choice.model,
    ]
    given = {
        "--base-url": choice.base_url,
        "--rpm": choice.requests_per_minute,
        "--tpm": choice.tokens_per_minute,
        "--prices": choice.prices,
        "--annotator": annotator if annotator != machine_name(choice, None) else None,
    }
    words += [word for option, value in given.items() if value for word in (option, str(value))]
    words += [] if choice.both_orders else ["--one-order"]
    words += ["--batch"] if choice.batch else []
    return shlex.join([*words, "--resume", "--runs", str(run.folder.parent)])


def estimate_cost(choice: JudgeChoice, run: Run, pairs: Sequence[Pair]) -> Estimate:
    """What labelling the pairs would still take, with what the ledger holds already for nothing.

    ConfigError for the rules, which cost nothing.
    """
    if choice.judge == "rules":
        raise ConfigError("The rules make no calls.", "Name a judge: --judge openai --judge-model MODEL")
    judge = ApiJudge(choice.judge_model, lambda _: [], choice.both_orders)
    calls = [call for pair in pairs for _, call in judge.calls(JudgedPair(pair.prompt, pair.a, pair.b))]
    known = {}
    if (run.folder / CALLS).exists():
        with Ledger.open(run.folder / CALLS, read_only=True) as ledger:
            known = ledger.known([call.key for call in calls])
    return estimate(
        calls,
        known,
        choice.requests_per_minute,
        choice.tokens_per_minute,
        prices=load_prices(choice.prices),
        batch=choice.batch,
    )
