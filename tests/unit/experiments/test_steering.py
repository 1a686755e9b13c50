"""Steering and behaviour on the nano model, whose traits are planted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from rlpersona.axis.activations import Extractor
from rlpersona.axis.steering import Steering
from rlpersona.axis.vectors import Floats32, axis, project, role_vector
from rlpersona.config import ModelConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.axis.data import AxisData
from rlpersona.experiments.axis.steering import axis_settings, steering_effect
from rlpersona.models import nano
from rlpersona.tasks import nano as tasks
from rlpersona.types import Prompt, Sampling

MODEL = ModelConfig(device="cpu")
CLAIMS = tasks.questions(("claim",), per_domain=24)
DRAWS = Sampling(max_tokens=32, temperature=1.0)


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with closing(Extractor(MODEL)) as made:
        yield made


def vector_of(extractor: Extractor, group: str | None) -> Floats32:
    """Mean activations of a planted group's answers to claims (None: the default's)."""
    people = [one.system for one in nano.personas() if one.group == group][:3] if group else [None]
    prompts = [Prompt.ask(question.text, who) for question in CLAIMS for who in people]
    answers = extractor.generate(prompts, DRAWS)
    found = role_vector(
        extractor.extract([(p, a.token_ids) for p, a in zip(prompts, answers, strict=True)])
    )
    assert found is not None
    return found


def test_steering_towards_a_group_gives_its_trait(extractor: Extractor) -> None:
    """Courtiers agree with whatever is said, critics never do."""
    towards = vector_of(extractor, "courtier") - vector_of(extractor, "critic")
    amount = 2 * float(np.linalg.norm(towards[2]))
    found = steering_effect(
        MODEL,
        {
            "courtier": [Steering("add", (2,), towards[2], amount)],
            "critic": [Steering("add", (2,), towards[2], -amount)],
            "nothing": [Steering("add", (2,), towards[2], 0.0)],
        },
        CLAIMS,
        sampling=DRAWS,
    )
    agrees = found[found["measure"] == "agrees"].set_index("setting")
    assert agrees.loc["courtier", "low"] > 0
    assert agrees.loc["critic", "high"] < 0
    assert agrees["plain"].nunique() == 1
    assert (found.loc[found["setting"] == "nothing", "difference"] == 0).all()
    assert (found["questions"] <= len(CLAIMS)).all()


def test_settings_along_an_axis_keep_their_promises(extractor: Extractor) -> None:
    groups = ("courtier", "critic", "scientist")
    roles = np.stack([vector_of(extractor, group) for group in groups])
    default = vector_of(extractor, None)
    data = AxisData(groups, roles, default, axis(default, roles), 2, "nano", "")
    settings = axis_settings(data, (2.0,))
    assert list(settings) == ["add +2", "ablate", "cap at roles", "floor at default"]
    along = project(roles, data.axis)[:, 2]
    assert settings["add +2"][0].amount == pytest.approx(2 * along.std(ddof=1))
    assert settings["cap at roles"][0].amount == pytest.approx(along.mean())
    assert settings["floor at default"][0].amount > along.mean()
    with pytest.raises(ConfigError, match="'none'"):
        steering_effect(MODEL, {"none": settings["ablate"]}, CLAIMS)
