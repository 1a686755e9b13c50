"""Every preset is a run that could start: its algorithm takes what it is given."""

from __future__ import annotations

import pytest

from rlpersona import presets
from rlpersona.config import BanditConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.bandit.inputs import load_inputs, make_policy
from rlpersona.models import nano
from rlpersona.personas.roster import load_personas


@pytest.mark.parametrize("name", sorted(presets.BANDIT))
def test_the_policy_of_every_preset_can_be_built(name: str) -> None:
    config = presets.preset(name)
    assert config.name == name
    people = load_personas(config.personas, limit=config.persona_limit, bystanders=config.bystanders)
    policy = make_policy(config, people)
    assert policy.arms == len(people)
    assert len(policy.select(config.arms_per_round)) > 0


def test_ten_thousand_people_hold_the_scientists_whom_nano_knows() -> None:
    config = presets.preset("tenthousand")
    inputs = load_inputs(config)
    assert len(inputs.personas) == 10_000
    assert config.budget == 200_000
    names = {person.name for person in inputs.personas}
    best = {person.name for person in nano.personas() if person.group == "scientist"}
    assert len(names & best) == 5
    assert len(names & {person.name for person in nano.personas()}) == 11


def test_truth_is_told_or_not() -> None:
    groups = {person.group for person in load_inputs(presets.preset("truth")).personas}
    assert groups == {"scholar", "liar"}


def test_presets_are_chosen_by_name() -> None:
    assert presets.chosen("eras", presets.TEMPORAL).experiment == "temporal"
    with pytest.raises(ConfigError, match="no preset 'quickstrat'") as raised:
        presets.preset("quickstrat")
    assert "quickstart" in raised.value.hint
    assert isinstance(presets.preset("facts"), BanditConfig)
