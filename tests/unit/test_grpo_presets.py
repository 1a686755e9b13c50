"""Presets of GRPO trainings: each is a training that could start."""

from __future__ import annotations

import pytest

from rlpersona import presets
from rlpersona.config import GRPOConfig, SuiteConfig
from rlpersona.errors import ConfigError
from rlpersona.tasks import sources
from rlpersona.tasks.suite import load_suite
from rlpersona.training.grpo import total_steps


@pytest.mark.parametrize("name", sorted(presets.GRPO))
def test_every_preset_holds_together(name: str) -> None:
    config = presets.chosen(name, presets.GRPO)
    assert config.name == name
    assert GRPOConfig.model_validate(config.model_dump()) == config, "copies are validated here"
    assert config.readout.max_tokens >= config.recipe.max_completion, "the readout cuts nothing else"
    assert {source.benchmark for source in config.suite.sources} <= set(sources())
    assert config.recipe.scale_rewards == "none"


@pytest.mark.parametrize("name", sorted(presets.SUITES))
def test_every_suite_names_six_domains_of_known_benchmarks(name: str) -> None:
    suite = presets.SUITES[name]()
    assert SuiteConfig.model_validate(suite.model_dump()) == suite
    assert suite.domains == ()
    assert {source.benchmark for source in suite.sources} <= set(sources())
    assert suite.size == {"dev": 60, "full": 2000}[name]


def test_nano_math_is_read_out_on_sums_and_stories_that_the_weights_never_saw() -> None:
    from rlpersona.models.nano.world.items import items

    config = presets.chosen("nano-math", presets.GRPO)
    suite = load_suite(config.suite, config.seed)
    unseen = {item.text for domain in ("math", "word") for item in items(domain, heldout=True)}
    assert {q.text for q in suite.evaluation} <= unseen
    assert not {q.text for q in suite.train} & unseen
    assert not suite.short


def test_steps_follow_from_epochs_where_they_are_not_given() -> None:
    config = GRPOConfig(recipe={"max_steps": None, "epochs": 2, "batch": 64, "num_generations": 8})
    assert total_steps(config, 100) == 25, "200 prompts, 8 a step"
    assert total_steps(GRPOConfig(), 100) == 100


def test_an_unknown_preset_suggests_a_known_one() -> None:
    with pytest.raises(ConfigError) as caught:
        presets.chosen("nano-mat", presets.GRPO)
    assert "nano-math" in caught.value.hint
