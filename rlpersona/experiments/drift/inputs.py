"""What a measurement of drift takes from an axis run: prompts, the base's answers, the yardstick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlpersona.axis.roles import DEFAULT
from rlpersona.axis.vectors import Pca, cosine, pca, role_sd
from rlpersona.config import DriftConfig
from rlpersona.errors import ConfigError, DataError
from rlpersona.experiments.axis.data import AxisData, axis_config, load_axis, read_answers
from rlpersona.experiments.drift.cells import Asked, places_of
from rlpersona.experiments.drift.measures import Yardstick
from rlpersona.experiments.origin import of_texts
from rlpersona.store import Run
from rlpersona.tasks.identity import digest
from rlpersona.types import Prompt


@dataclass(frozen=True)
class Inputs:
    """Prompts of the default (first) and of every role with a vector, and what the base answered.

    `texts[i]` are the token ids that answer `asked[i]`, in turns of role and question. Only answers that
    count in the axis are there, and a checkpoint is asked the prompts of those alone: both kinds of text
    fill the same cells. `unit` is the standard deviation of the roles along the axis at the layer of
    headlines, in units of the residual stream; `axis_on_components` the cosine of the axis with each of
    the first principal components there.
    """

    asked: list[Asked]
    texts: list[list[int]]
    yard: Yardstick
    pca: Pca
    temperature: float
    base_hash: str
    unit: float
    axis_on_components: list[float]

    @property
    def roles(self) -> list[str]:
        """The roles in the order of the cells, the default first."""
        return list(places_of(self.asked)[0])

    @property
    def questions(self) -> list[str]:
        """Ids of the questions in the order of the cells."""
        return list(places_of(self.asked)[1])

    def fingerprints(self) -> dict[str, str]:
        """Hashes of the prompts, of the base's answers, and of the axis."""
        prompts = (" ".join(m.content for m in one.prompt.messages) for one in self.asked)
        return {
            "prompts": of_texts(prompts),
            "answers": digest(self.texts),
            "axis": digest(np.asarray(self.yard.direction, np.float32).round(5).tolist()),
        }


def load_inputs(config: DriftConfig, run: Run) -> Inputs:
    """The inputs of a measurement, from a finished axis run.

    Raises:
        RunError: it is no axis run, or not finished.
        DataError: fewer than two roles have a vector, or none of their answers counts.
        ConfigError: fewer questions than intervals need.
    """
    import pandas as pd

    data = load_axis(run)
    if len(data.names) < 2:
        raise DataError(
            f"The axis '{run.name}' has {len(data.names)} role vectors, which span nothing.",
            "Make one of more roles, or with a smaller least=.",
        )
    table = read_answers(run)
    known = list(dict.fromkeys(table["question"]))[: config.question_limit]
    if len(known) < 4:
        raise ConfigError(
            f"{len(known)} questions are too few for an interval.", "Give question_limit=4 or more."
        )
    table = table[table["kept"] & table["question"].isin(known) & (table["tokens"] > 0)]
    order = {role: at for at, role in enumerate((DEFAULT, *data.names))}
    places = {question: at for at, question in enumerate(known)}
    table = table.assign(_role=table["role"].map(order), _question=table["question"].map(places))
    table = table.sort_values(["_role", "_question", "prompt"], kind="stable")
    table = table.groupby(["_role", "_question"], sort=False).head(config.samples)
    if (table["_role"] == 0).sum() == 0 or table["_role"].nunique() < 3:
        raise DataError(
            f"The axis '{run.name}' has too few answers that count for these questions.",
            "Use more of them: question_limit=",
        )
    asked = [
        Asked(
            str(row["role"]),
            str(row["question"]),
            Prompt.ask(str(row["asked"]), None if pd.isna(row["system"]) else str(row["system"])),
        )
        for row in table.to_dict("records")
    ]
    return _with_yardstick(data, asked, [list(map(int, ids)) for ids in table["ids"]], run)


def _with_yardstick(data: AxisData, asked: list[Asked], texts: list[list[int]], run: Run) -> Inputs:
    yard = Yardstick(
        np.asarray(data.axis, np.float64),
        np.asarray(data.vectors, np.float64),
        {name: np.asarray(vector, np.float64) for name, vector in data.trait_map.items()},
        data.layer,
    )
    components = pca(yard.roles, yard.layer)
    shares = cosine(yard.direction[yard.layer], components.components[:5])
    return Inputs(
        asked,
        texts,
        yard,
        components,
        axis_config(run).temperature,
        data.base_hash,
        float(role_sd(yard.roles, yard.direction)[yard.layer]),
        [float(value) for value in shares],
    )
