"""Personas that the base can put on: those of the served runs, and whoever else has a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rlpersona.config import BanditConfig
from rlpersona.errors import DataError, RunError
from rlpersona.experiments.bandit.inputs import arms
from rlpersona.experiments.origin import of_texts
from rlpersona.personas.roster import PREFIX, load_personas
from rlpersona.serving.names import same
from rlpersona.store import CONFIG, PERSONAS, PROVENANCE, Run
from rlpersona.types import Persona

BUILT_IN = ("nano", "notable")


@dataclass(frozen=True, slots=True)
class Known:
    """A persona, and the roster that has it: a run's name, `notable` or `nano`; None for nobody's."""

    persona: Persona
    roster: str | None


class People:
    """Every persona of some rosters by name; of two with one name the first roster's counts."""

    def __init__(self, rosters: Sequence[tuple[str, Sequence[Persona]]], prefix: str = PREFIX) -> None:
        self._prefix = prefix
        self._known: dict[str, Known] = {}
        for roster, personas in rosters:
            for persona in personas:
                self._known.setdefault(same(persona.name), Known(persona, roster))

    def find(self, name: str) -> Known:
        """The persona of that name. One of no roster is put on by the same prefix: whoever asks could
        write that system prompt themselves, so there is nothing to refuse."""
        unknown = Known(Persona(name, self._prefix.replace("{name}", name)), None)
        return self._known.get(same(name), unknown)


def people_of(bandits: dict[str, Sequence[Persona]], prefix: str, base: str) -> People:
    """The rosters of the served bandits, then the shipped ones under `prefix`."""
    built_in = [name for name in BUILT_IN if name == "notable" or base == "nano"]
    shipped = [(name, load_personas(name, prefix=prefix)) for name in built_in]
    return People([*bandits.items(), *shipped], prefix)


def prefix_of(values: dict[str, Any]) -> str:
    """The form of the system prompt in a run's saved config, or the usual one."""
    return str(values.get("prefix") or PREFIX)


def saved_values(run: Run) -> dict[str, Any]:
    """The config of a run as plain values (RunError where it cannot be read)."""
    try:
        values = yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8"))
        return dict(values)
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise RunError(
            f"{run.folder / CONFIG} cannot be read: {type(error).__name__}.",
            "Restore it, or make the run again under a new name.",
        ) from error


def roster_of(run: Run, config: BanditConfig) -> list[Persona]:
    """The personas of a finished bandit in the order of its arms, with the prompts that it used.

    A roster file is looked for as the config names it, then beside the folder of the runs.

    Raises:
        DataError: the roster is gone, or is not the one that the run worked on.
    """
    source = config.personas
    if source not in BUILT_IN and not Path(source).expanduser().is_file():
        source = str(run.folder.parent.parent / source)
    personas = arms(config, source)
    refuse_other_roster(run, personas, config.personas)
    return personas


def refuse_other_roster(run: Run, personas: Sequence[Persona], source: str) -> None:
    """DataError where these are not the personas, prompts and order that the run worked on."""
    import pandas as pd

    began = run.read_json(PROVENANCE).get("data", {}).get("personas")
    names = pd.read_parquet(run.folder / PERSONAS, columns=["name"])["name"].tolist()
    found = of_texts(f"{k} {persona}" for k, persona in enumerate(personas))
    if names != [persona.name for persona in personas] or began not in (None, found):
        raise DataError(
            f"The roster '{source}' is not the one that run '{run.name}' worked on.",
            "Put the file back as it was, or run the search again under a new name.",
        )
