"""What each model name stands for: an adapter on the shared base, a system prompt, and their origin."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlpersona.config import BASE, ModelConfig
from rlpersona.config.base import RUN_NAME
from rlpersona.errors import ConfigError, RunError, UnknownModelError, did_you_mean
from rlpersona.experiments.drift.checkpoints import KINDS, Checkpoint
from rlpersona.models.adapters import WEIGHTS, adapter_version
from rlpersona.models.lineage import base_hash, file_hash, refuse_other_base
from rlpersona.models.locate import portable
from rlpersona.personas.roster import PREFIX
from rlpersona.serving.names import BANDIT, PERSONA, Name, parse, shown
from rlpersona.serving.people import people_of, prefix_of, saved_values
from rlpersona.serving.policy import LivePolicy, live_policy
from rlpersona.serving.trained import TrainedRun, servable
from rlpersona.store import SUMMARY, Run, find
from rlpersona.types import Persona


@dataclass(frozen=True)
class Target:
    """What a model name stands for.

    `name` is the canonical form of what was asked. `adapter` is the folder of a PEFT adapter on the raw
    base, None for the base itself. `system` goes in front where a request has no system message.
    `provenance` is JSON: run, step, condition, adapter_sha256, persona, ...; only what applies.
    `draw` is the id under which feedback refers to a policy's draw: that of the response.
    """

    name: str
    adapter: str | None = None
    system: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    draw: str | None = None


class Catalog:
    """The runs that are served on one base. Every replica makes its own; threads may share it.

    What needs disk or memory is done once, when it is made. `resolve` of a policy waits for the disk:
    do not call it from an event loop.
    """

    def __init__(self, root: Path, runs: Sequence[str], base: ModelConfig) -> None:
        """Look through the runs.

        Raises:
            ConfigError: a name that no run can have, or that already means something else here.
            RunError: no such run, one that is not finished, that has nothing to serve, that started from
                another base, or that trained all weights.
            DataError: a bandit's roster is not the one that it worked on.
            ModelError: the base is not there, or an adapter was trained on another.
        """
        self.base = base
        self.policies: dict[str, LivePolicy] = {}
        self._trained: dict[str, TrainedRun] = {}
        self._best: dict[str, Target] = {}
        self._hashes: dict[str, tuple[str, str]] = {}  # by folder: version, SHA-256
        self._guard = threading.RLock()
        saved = {name: saved_values(_run(root, name)) for name in dict.fromkeys(runs)}
        for name, values in saved.items():
            _refuse_other_base(name, values, base)
            self._add(find(root, name), str(values.get("experiment")))
        rosters = {name: policy.personas for name, policy in self.policies.items()}
        searched_first = sorted(saved, key=lambda name: name not in rosters)
        prefixes = [prefix_of(saved[name]) for name in searched_first if saved[name].get("prefix")]
        self._people = people_of(rosters, prefixes[0] if prefixes else PREFIX, base.name)

    def names(self) -> list[str]:
        """What `/v1/models` lists: the base, the runs with their parts and steps, policies. Any
        `persona:NAME` works beside these."""
        with self._guard:
            trained = [name for run in self._trained.values() for name in run.names()]
        return [BASE, *trained, *self._best, *(BANDIT + run for run in self.policies)]

    def resolve(self, model: str, response_id: str) -> Target:
        """What a model name stands for; for `bandit:RUN` the draw is on the disk when this returns.

        Raises:
            UnknownModelError: it stands for nothing; the hint names the nearest name.
            ModelError: its adapter was replaced by one of another base.
            StorageError, ServeError: a draw could not be kept.
        """
        if model == self.base.name and model not in self._trained and model not in self._best:
            model = BASE
        name = parse(model)
        if name.kind == "base":
            return Target(BASE, provenance={"model": self.base.name})
        if name.kind == "persona":
            return self._persona(name)
        if name.kind == "bandit":
            return self._drawn(name.name, response_id)
        return self._run(name)

    def close(self) -> None:
        """Let go of the policies' files."""
        for policy in self.policies.values():
            policy.book.close()

    def _add(self, run: Run, kind: str) -> None:
        if kind == "bandit":
            policy = live_policy(run)
            self.policies[run.name] = policy
            self._best[run.name] = best_of(run, policy.personas)
        elif kind in KINDS:
            trained = self._trained[run.name] = TrainedRun(run)
            for name, point in trained.last():
                self._adapter(name, point)  # hashes the base, too, before anybody waits for an answer
        else:
            raise RunError(
                f"Run '{run.name}' is a {kind}: it has no model and no policy.",
                "Serve runs of `rlpersona bandit`, `grpo`, `sweep` or `dpo`.",
            )

    def _adapter(self, name: str, point: Checkpoint) -> tuple[str, str]:
        """Folder and hash of a checkpoint's adapter, looked at again when its files are written."""
        folder = servable(point, name)
        version = adapter_version(folder)
        if self._hashes.get(folder, ("", ""))[0] != version:
            refuse_other_base(folder, self.base.name)
            self._hashes[folder] = version, file_hash(Path(folder) / WEIGHTS)
        return folder, self._hashes[folder][1]

    def _persona(self, name: Name) -> Target:
        known = self._people.find(name.name)
        about = {"persona": known.persona.name, "roster": known.roster}
        return Target(PERSONA + known.persona.name, system=known.persona.system, provenance=about)

    def _drawn(self, run: str, response_id: str) -> Target:
        if run not in self.policies:
            raise UnknownModelError(
                f"No policy of a run '{run}' is served.", did_you_mean(run, self.policies)
            )
        draw, persona = self.policies[run].draw(response_id)
        about = {"run": run, "persona": persona.name, "chance": draw.chance, "rewards": draw.seen}
        return Target(BANDIT + run, system=persona.system, provenance=about, draw=response_id)

    def _run(self, name: Name) -> Target:
        if name.name in self._best:
            if name.part or name.step is not None:
                raise UnknownModelError(
                    f"Run '{name.name}' is a bandit: it has no parts and no steps.",
                    f"Ask for {name.name} or {BANDIT}{name.name}.",
                )
            return self._best[name.name]
        if name.name not in self._trained:
            known = [*self._trained, *self._best]
            hint = did_you_mean(name.name, [BASE, *known])
            raise UnknownModelError(f"No run {shown(name.name)} is served.", hint)
        with self._guard:
            found, point = self._trained[name.name].find(name.part, name.step)
        folder, sha256 = self._adapter(found, point)
        about = {"run": point.run, **self._trained[name.name].origin(point), "adapter_sha256": sha256}
        return Target(found, folder, provenance=about)


def shared_base(root: Path, runs: Sequence[str]) -> str:
    """The name of the model that the first run started from, for a service that names none."""
    values = saved_values(_run(root, runs[0]))
    return portable(str((values.get("model") or {}).get("name", "")))


def best_of(run: Run, personas: Sequence[Persona]) -> Target:
    """The persona of a bandit run that did best on its fresh questions.

    The best of a few measured ones is measured a little too well; `significant` says whether anybody's
    gain over no persona was shown. RunError for a run whose winners could not be measured.
    """
    summary = run.read_json(SUMMARY)
    scores = {
        str(one["persona"]): one["accuracy"]["estimate"]
        for one in summary["winners"]
        if one["accuracy"] and one["accuracy"]["estimate"] is not None
    }
    if not scores:
        raise RunError(f"Run '{run.name}' measured no winner.", "Serve another run.")
    name = max(scores, key=lambda one: scores[one])
    persona = next(person for person in personas if person.name == name)
    about = {"run": run.name, "persona": name, "significant": bool(summary["significant"])}
    return Target(run.name, system=persona.system, provenance=about)


def _run(root: Path, name: str) -> Run:
    if not re.fullmatch(RUN_NAME, name) or not name.strip("."):
        raise ConfigError(f"{shown(name)} is no name of a run.", "See rlpersona runs")
    if name == BASE:
        raise ConfigError(f"A run called '{BASE}' cannot be served: that is the base.", "Rename it.")
    return find(root, name)


def _refuse_other_base(run: str, values: dict[str, Any], base: ModelConfig) -> None:
    """RunError where a run did not start from the weights that are served."""
    began = str((values.get("model") or {}).get("name", ""))
    if portable(began) != portable(base.name) and base_hash(began) != base_hash(base.name):
        raise RunError(
            f"Run '{run}' started from '{began}'; the base here is '{base.name}'.",
            f"Serve it on its own base, in a service of its own: rlpersona serve {run} model={began}",
        )
