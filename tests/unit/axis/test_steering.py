"""Steering: what it changes by how much, and what it leaves alone to the bit."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from rlpersona.axis.activations import Extractor
from rlpersona.axis.blocks import decoder_of, visiting
from rlpersona.axis.steering import Steering, steered, steered_model
from rlpersona.axis.vectors import axis, cosine, role_vector, unit_axis
from rlpersona.config import ModelConfig
from rlpersona.errors import ConfigError, ModelError
from rlpersona.types import Prompt, Sampling

WIDTH = 128
VECTOR = np.random.default_rng(0).standard_normal(WIDTH).astype(np.float32)
UNIT = unit_axis(VECTOR)
ASKED = [Prompt.ask(f"What is {a} + {b}?") for a in range(2, 6) for b in range(3, 7)]


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with closing(Extractor(ModelConfig())) as made:
        yield made


def streams(extractor: Extractor, *steering: Steering, layer: int = 2) -> np.ndarray:
    """The residual stream (rows, tokens, d) after a layer, of a batch without padding."""
    import torch

    seen: list[Any] = []
    net = extractor.model.network()
    ids = torch.tensor([extractor.model.encoder.prompt(prompt) for prompt in ASKED])
    look = visiting(net, {layer: lambda hidden: seen.append(hidden.clone())})
    with steered(net, steering), look, torch.no_grad():
        decoder_of(net)(input_ids=ids)
    return seen[0].numpy()


def test_each_mode_by_its_formula(extractor: Extractor) -> None:
    plain = streams(extractor)
    along = plain @ UNIT
    tau = float(np.median(along))
    expected = {
        "add": plain + 3.0 * UNIT,
        "ablate": plain - along[..., None] * UNIT,
        "cap": plain - np.maximum(along - tau, 0)[..., None] * UNIT,
        "floor": plain - np.minimum(along - tau, 0)[..., None] * UNIT,
    }
    for mode, amount in (("add", 3.0), ("ablate", 0.0), ("cap", tau), ("floor", tau)):
        found = streams(extractor, Steering(mode, (2,), VECTOR, amount))  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected[mode], atol=2e-5)


@pytest.mark.parametrize(("mode", "keeps"), [("cap", np.less_equal), ("floor", np.greater_equal)])
def test_what_is_within_the_bound_is_untouched_to_the_bit(
    extractor: Extractor, mode: Any, keeps: Any
) -> None:
    plain = streams(extractor)
    along = plain @ UNIT
    tau = float(np.median(along))
    found = streams(extractor, Steering(mode, (2,), VECTOR, tau))
    within = keeps(along, tau - 1e-4 if mode == "cap" else tau + 1e-4)
    assert 0.3 < within.mean() < 0.7
    assert (found.view(np.int32) == plain.view(np.int32))[within].all()
    after = found @ UNIT
    assert (after <= tau + 1e-4).all() if mode == "cap" else (after >= tau - 1e-4).all()
    far = streams(extractor, Steering(mode, (2,), VECTOR, 1e6 if mode == "cap" else -1e6))
    assert (far.view(np.int32) == plain.view(np.int32)).all()


def test_the_sign_of_a_zero_outlasts_a_cap() -> None:
    import torch

    from rlpersona.axis.steering import _visit

    hidden = torch.tensor([[[-0.0, 0.0, -1.0]]])
    found = _visit("cap", torch.tensor([0.0, -1.0, 0.0]), 5.0)(hidden)
    assert found is not None
    assert torch.equal(found.view(torch.int32), hidden.view(torch.int32))


def test_a_cap_in_bfloat16_changes_no_token_under_the_bound() -> None:
    import torch

    from rlpersona.axis.steering import _visit

    hidden = torch.randn(4, 50, WIDTH, generator=torch.manual_seed(0)).bfloat16()
    unit = torch.from_numpy(UNIT).float()
    found = _visit("cap", unit, 0.5)(hidden)
    assert found is not None
    assert found.dtype == torch.bfloat16
    under = hidden.float() @ unit <= 0.5
    assert torch.equal(found[under].view(torch.int16), hidden[under].view(torch.int16))
    assert (found.float() @ unit).max() < 0.52


def test_a_direction_that_was_planted_in_a_model_is_the_axis(extractor: Extractor) -> None:
    prompts = [(prompt, "It is 7.") for prompt in ASKED]
    net = extractor.model.network()
    roles = [role_vector(extractor.extract(prompts[at : at + 8])) for at in range(0, 16, 4)]
    with Steering("add", (1,), VECTOR, 8.0).on(net):
        default = [role_vector(extractor.extract(prompts[at : at + 8])) for at in range(0, 16, 4)]
    found = axis(np.stack(default), np.stack(roles))  # type: ignore[arg-type]
    assert cosine(found[1], VECTOR) > 0.99
    assert (found[0] == 0).all()


def test_layers_may_have_their_own_vectors_and_amounts(extractor: Extractor) -> None:
    other = np.roll(VECTOR, 1)
    both = Steering("add", (1, 3), np.stack([VECTOR, other]), (2.0, -4.0))
    one, two = Steering("add", (1,), VECTOR, 2.0), Steering("add", (3,), other, -4.0)
    found = streams(extractor, both, layer=3)
    np.testing.assert_array_equal(found, streams(extractor, one, two, layer=3))
    assert np.abs(found - streams(extractor, one, layer=3)).max() > 0.1


def test_changes_of_one_layer_are_made_in_their_order(extractor: Extractor) -> None:
    push, wipe = Steering("add", (2,), VECTOR, 9.0), Steering("ablate", (2,), VECTOR)
    assert np.abs(streams(extractor, push, wipe) @ UNIT).max() < 1e-4
    np.testing.assert_allclose(streams(extractor, wipe, push) @ UNIT, 9.0, atol=1e-4)


def test_the_model_is_itself_again_afterwards(extractor: Extractor) -> None:
    before = streams(extractor)
    net = extractor.model.network()
    with pytest.raises(ModelError), Steering("add", (2,), VECTOR, 9.0).on(net):
        raise ModelError("in the middle")
    np.testing.assert_array_equal(streams(extractor), before)


def test_a_steered_model_serves_other_answers_and_survives_pickling() -> None:
    steering = pickle.loads(pickle.dumps([Steering("add", (2,), VECTOR, 20.0)]))
    sampling = Sampling(max_tokens=12)
    with (
        closing(steered_model(ModelConfig(), steering)) as model,
        closing(Extractor(ModelConfig())) as free,
    ):
        plain = free.generate(ASKED, sampling)
        with steered(free.model.network(), steering):
            expected = free.generate(ASKED, sampling)
        found = model.generate(ASKED, sampling)
        alone = [model.generate([prompt], sampling)[0] for prompt in ASKED]
    assert [c.token_ids for c in found] == [c.token_ids for c in expected]
    assert [c.token_ids for c in found] == [c.token_ids for c in alone]
    assert [c.text for c in found] != [c.text for c in plain]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("push", (1,), VECTOR, 1.0), "unknown steering mode 'push'"),
        (("add", (), VECTOR, 1.0), "for 0 layers"),
        (("add", (1, 2), np.ones((3, WIDTH)), 1.0), "for 2 layers"),
        (("add", (1, 2), VECTOR, (1.0,)), "1 amounts for 2 layers"),
        (("add", (1,), np.zeros(WIDTH), 1.0), "has no length"),
        (("add", (1,), np.full(WIDTH, np.nan), 1.0), "has no length"),
        (("ablate", (1,), VECTOR, 1.0), "ablate takes no amount"),
    ],
)
def test_what_cannot_be_is_refused_at_once(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Steering(*arguments)


def test_a_vector_of_another_model_and_a_layer_that_is_not_there(extractor: Extractor) -> None:
    net = extractor.model.network()
    with (
        pytest.raises(ConfigError, match="a residual stream of 128"),
        Steering("add", (1,), np.ones(7), 1.0).on(net),
    ):
        pass
    with (
        pytest.raises(ModelError, match="layer 4 of a model with 4 blocks"),
        Steering("add", (4,), VECTOR, 1.0).on(net),
    ):
        pass
