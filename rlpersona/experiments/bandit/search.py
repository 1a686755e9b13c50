"""The persona bandit: personas x questions -> rewards -> policy -> winners, measured again.

One round: the policy draws personas, all of them answer the same questions (a paired design: question
noise cancels between personas), the policy learns from their rewards. `in_flight` rounds are asked at a
time, so that replicas never wait for the policy; its updates then come that many rounds late, at a fixed
distance, and policies that need it weigh them by the chance of the draw. The search ends when its budget
of evaluations is spent; what it found is then a hypothesis, which `validate` tests on questions that no
round has seen.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlpersona.bandits import Bandit
from rlpersona.config import BanditConfig
from rlpersona.errors import DataError
from rlpersona.experiments.bandit.evaluation import evaluate
from rlpersona.experiments.bandit.flights import Flights
from rlpersona.experiments.bandit.inputs import Inputs, load_inputs, make_policy, scored_as
from rlpersona.experiments.bandit.rounds import Answers, events, learn, metrics
from rlpersona.experiments.bandit.validation import planned, validate
from rlpersona.experiments.judging import choice_of, opened_judge
from rlpersona.experiments.origin import record_origin
from rlpersona.experiments.tracking.following import services, tracked
from rlpersona.judges.base import Judge
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.report.live import watch
from rlpersona.runtime.metrics import work_for
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.runtime.train import Checkpoints, train_job
from rlpersona.store import SUMMARY, Run, opened
from rlpersona.types import Model, Persona, Score

# Said outright, because a part of the table in which nothing failed has no errors to tell the type from.
EVENT_TYPES = {"reward": "float64", "correct": "boolean", "predicted": "string", "error": "string"}
HOPELESS = 64  # answers of which none could be scored: more would not help
START = {"round": 0, "draws": 0, "evaluations": 0, "unscored": 0, "seconds": 0.0}


def run_bandit(
    config: BanditConfig, root: Path | str = "runs", *, resume: bool = False
) -> dict[str, Any]:
    """Run or resume the whole experiment and return its summary, which `summary.json` holds too.

    A mistake of the user is found before anything is started, where it can be; one that shows before
    the first checkpoint leaves no run behind (errors.py names them all).
    """
    inputs = load_inputs(config)
    make_policy(config, inputs.personas)
    chosen = services()
    with opened(Path(root).absolute(), config, resume=resume) as run:
        if not run.finished:
            record_origin(run, inputs)
            for line in planned(config, inputs):
                print(line, file=sys.stderr)
            with ray_session(), tracked(run, chosen), watch(run.folder):
                train_job(partial(search_and_validate, config, inputs, run), run.checkpoints)
        summary: dict[str, Any] = run.read_json(SUMMARY)
    return summary


def search_and_validate(
    config: BanditConfig, inputs: Inputs, run: Run, checkpoints: Checkpoints
) -> None:
    """The job: search with checkpoints, then the fresh measurement, which ends in `summary.json`."""
    work_for(run.name)
    with closing(PooledModel(inputs.model)) as model, judge_of(config, run) as judge:
        policy, seconds = search(config, inputs, run, checkpoints, model, judge)
        validate(config, inputs, run, policy, model, seconds, judge)


@contextmanager
def judge_of(config: BanditConfig, run: Run) -> Iterator[Judge | None]:
    """The judge that the reward needs, if it needs one; its calls are kept in the run folder."""
    if config.reward != "judged":
        yield None
        return
    again = f"rlpersona bandit name={run.name} --resume --runs {run.folder.parent}"
    with opened_judge(choice_of(config.judge), run, again) as judge:
        yield judge


def search(
    config: BanditConfig,
    inputs: Inputs,
    run: Run,
    checkpoints: Checkpoints,
    model: Model,
    judge: Judge | None = None,
) -> tuple[Bandit, float]:
    """Spend the budget; return the policy and the seconds of work.

    A checkpoint holds the rounds in flight, too. Events and metrics of the rounds since the last one
    are dropped and made again on resume, so that each round is recorded once.
    """
    policy = make_policy(config, inputs.personas)
    state: dict[str, Any] = checkpoints.load() or dict(START)
    if "policy" in state:
        policy.load_state_dict(state["policy"])
    run.rewind(state["round"])
    began = time.monotonic() - state["seconds"]
    rows: list[dict[str, Any]] = []
    first = state["round"] + 1

    saved = state.pop("flights", ())
    with closing(Flights(config, inputs, policy, model, state["draws"], saved, judge)) as flights:
        going = config.search and flights.more()
        while going:
            asked, answered = flights.next()
            earned = learn(policy, asked, answered)

            state["round"] += 1
            # A persona drawn twice in a round counts twice for the policy, but has answered once.
            state["draws"] += asked.size
            state["evaluations"] += len(answered)
            state["unscored"] += sum(score.reward is None for score in answered.values())
            state["seconds"] = time.monotonic() - began
            rows += events(state["round"], inputs.personas, asked, answered)
            measured = metrics(config, inputs.personas, policy, state, earned)
            if config.transfer_every and state["round"] % config.transfer_every == 0:
                measured["transfer"] = transfer(config, inputs, policy, model, judge)
            run.append_metrics(measured)
            if state["unscored"] == state["evaluations"] >= HOPELESS:
                raise unscorable(state["unscored"], answered)

            going = flights.more()
            if not going or state["round"] % config.checkpoint_every == 0:
                run.save_events(first, state["round"], pd.DataFrame(rows).astype(EVENT_TYPES))
                known = {**state, "policy": policy.state_dict(), "flights": flights.state()}
                checkpoints.save(known, {"round": state["round"], "seconds": state["seconds"]})
                rows, first = [], state["round"] + 1
    return policy, state["seconds"]


def unscorable(answers: int, answered: Answers) -> DataError:
    """What to say when no answer of the search so far could be scored."""
    why = next(iter(answered.values())).error
    return DataError(
        f"None of the first {answers} answers could be scored: {why}.",
        "Choose another mode= (likelihood needs no written answer), a longer max_tokens=, or a model "
        "that follows instructions.",
    )


def transfer(
    config: BanditConfig, inputs: Inputs, policy: Bandit, model: Model, judge: Judge | None = None
) -> dict[str, dict[str, Any]]:
    """Accuracy of the policy's best personas, and of none, on the other benchmarks."""
    people: list[Persona] = [inputs.personas[arm] for arm in policy.ranking(config.validation.winners)]
    found = {}
    for label, questions in inputs.transfer.items():
        scoring = scored_as(config, label)
        scores = evaluate(model, [NO_PERSONA, *people], questions, scoring, config.measured, judge)
        control, top = mean_reward(scores[:1]), mean_reward(scores[1:])
        found[label] = {"top": top, "control": control, "questions": len(questions)}
    return found


def mean_reward(scores: list[list[Score]]) -> float | None:
    """Mean of the rewards there are; None if there is none."""
    rewards = [score.reward for row in scores for score in row if score.reward is not None]
    return float(np.mean(rewards)) if rewards else None
