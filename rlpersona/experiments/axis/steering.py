"""What steering does to behaviour: the same questions and draws, steered and not, compared in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from rlpersona.axis.steering import Steering, steered
from rlpersona.axis.vectors import project, role_sd
from rlpersona.config import ModelConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.axis.data import AxisData
from rlpersona.types import Prompt, Question, Sampling

if TYPE_CHECKING:
    import pandas as pd

NONE = "none"
AMOUNTS = (-4.0, -2.0, 2.0, 4.0)


def axis_settings(data: AxisData, amounts: Sequence[float] = AMOUNTS) -> dict[str, list[Steering]]:
    """Steering along an axis at its layer of headlines, by name.

    `add +2`: two standard deviations of the roles towards the assistant; `ablate`; `cap at roles`: not
    further on the assistant's side than the mean of the roles; `floor at default`: at least as far as
    the default's own mean (the activation capping of Lu et al. 2026 at another threshold).
    """
    at, unit = data.layer, role_sd(data.vectors, data.axis)[data.layer]
    vector, layers = data.axis[at], (data.layer,)
    roles = float(project(data.vectors, data.axis)[:, at].mean())
    default = float(project(data.default, data.axis)[at])
    found = {
        f"add {amount:+g}": [Steering("add", layers, vector, float(amount * unit))] for amount in amounts
    }
    return found | {
        "ablate": [Steering("ablate", layers, vector)],
        "cap at roles": [Steering("cap", layers, vector, roles)],
        "floor at default": [Steering("floor", layers, vector, default)],
    }


def steering_effect(
    model: ModelConfig,
    settings: Mapping[str, Sequence[Steering]],
    questions: Sequence[Question],
    *,
    sampling: Sampling | None = None,
    samples: int = 2,
    system: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Behaviour under every setting beside no steering: one row a setting and measure.

    Columns: `setting`, `measure` (`behaviour.measures`, and `correct`), `plain`, `steered` (means over
    the questions that both scored), `difference` with `low` and `high` (paired by question, the mean of
    its samples; `stats.paired_difference`), `p_value`, `questions`. Measures that fewer than two
    questions score are left out. Draws are the same under every setting.

    Raises:
        ConfigError: a setting called "none", which stands for the model as it is.
        ModelError: as `load_model`; ConfigError also for vectors of another model.
    """
    import pandas as pd

    from rlpersona.models.hf import HFModel

    if NONE in settings:
        raise ConfigError(f"a steering setting is called '{NONE}'", "Give it another name.")
    drawn = sampling or Sampling(max_tokens=96, temperature=1.0)
    tables = {}
    with closing(HFModel(model)) as engine:
        for name, changes in {NONE: (), **settings}.items():
            with steered(engine.network(), changes):
                tables[name] = _behaviour(engine, questions, drawn, samples, system)
    plain = tables.pop(NONE)
    rows = [row for name, table in tables.items() for row in _compared(name, table, plain, level)]
    return pd.DataFrame(rows)


def _behaviour(
    engine: object, questions: Sequence[Question], sampling: Sampling, samples: int, system: str | None
) -> pd.DataFrame:
    """Measures of each question (index), means over its samples; nan where none has one."""
    import pandas as pd

    from rlpersona.experiments.dose.readout import measured
    from rlpersona.types import Model

    assert isinstance(engine, Model)
    asked = [question for question in questions for _ in range(samples)]
    done = engine.generate([Prompt.ask(one.text, system) for one in asked], sampling)
    rows = [
        {
            "condition": "steering",
            "step": 0,
            "domain": question.domain,
            "question": question.id,
            "sample": at % samples,
            "text": completion.text.strip(),
            "tokens": len(completion.token_ids) - (completion.finish == "stop"),
            "finish": completion.finish,
        }
        for at, (question, completion) in enumerate(zip(asked, done, strict=True))
    ]
    table = measured(pd.DataFrame(rows), questions)
    kept = table.drop(columns=["step", "sample"]).select_dtypes("number")
    return kept.groupby(table["question"], sort=False).mean()


def _compared(
    name: str, table: pd.DataFrame, plain: pd.DataFrame, level: float
) -> list[dict[str, object]]:
    from rlpersona.stats import paired_difference

    rows: list[dict[str, object]] = []
    for column in table.columns:
        ours, theirs = (one[column].to_numpy(np.float64) for one in (table, plain))
        both = np.isfinite(ours) & np.isfinite(theirs)
        if both.sum() < 2:
            continue
        found = paired_difference(ours[both], theirs[both], level)
        rows.append(
            {
                "setting": name,
                "measure": column,
                "plain": theirs[both].mean(),
                "steered": ours[both].mean(),
                "difference": found.difference.estimate,
                "low": found.difference.low,
                "high": found.difference.high,
                "p_value": found.p_value,
                "questions": int(both.sum()),
            }
        )
    return rows
