"""From kept activations to vectors: one role in memory at a time, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlpersona.axis.traits import trait_vector
from rlpersona.axis.vectors import Floats, Floats32, axis, project, role_vector
from rlpersona.config import AxisConfig
from rlpersona.errors import DataError
from rlpersona.experiments.axis.castings import Casting, activations_of
from rlpersona.experiments.axis.data import AxisData, read_role
from rlpersona.store import Run


@dataclass(frozen=True)
class Cast:
    """What became of a role: its responses, how many have no rating, how many count."""

    name: str
    group: str | None
    responses: int
    unrated: int
    kept: int


@dataclass(frozen=True)
class Voice:
    """A role with its vector (layers, d); `halves` are those of every other question, None for none."""

    cast: Cast
    casting: Casting
    vector: Floats32
    halves: tuple[Floats32 | None, Floats32 | None]


@dataclass(frozen=True)
class Made:
    """Vectors, who they are of, and who has none. `half_axes` are made of every other question each."""

    data: AxisData
    default: Voice
    roles: tuple[Voice, ...]
    without: tuple[Cast, ...]
    half_axes: tuple[Floats32, Floats32]


@dataclass(frozen=True)
class Placed:
    """A role's answers on axes, by question and layer (questions, layers).

    `crosswise`: all responses, on the half axis that their question did not make. `counted`: the
    responses that count, on the axis.
    """

    crosswise: Floats
    counted: Floats


def make_vectors(
    config: AxisConfig, run: Run, castings: Sequence[Casting], layer: int, base_hash: str
) -> Made:
    """Role vectors of what was kept, the axis, its two halves, and trait vectors.

    All of the default's responses count, and all of both sides of a trait.

    Raises:
        DataError: the default, or all roles but one, have too few responses that count.
    """
    default, *others = [one for one in castings if not one.trait]
    voice, _ = _voice(config, run, default, 1)
    read = [_voice(config, run, one, config.least) for one in others]
    roles = tuple(one for one, _ in read if one is not None)
    if voice is None or len(roles) < 2:
        raise DataError(
            f"{len(roles)} of {len(others)} roles have {config.least} responses that count.",
            "Ask more or keep more, under a new name: question_limit=, keep=2, least=20, name=...",
        )
    names = tuple(dict.fromkeys(one.trait for one in castings if one.trait))
    traits = {name: _trait(run, [one for one in castings if one.trait == name]) for name in names}
    found = {name: vector for name, vector in traits.items() if vector is not None}
    vectors = np.stack([one.vector for one in roles])
    data = AxisData(
        tuple(one.cast.name for one in roles),
        vectors,
        voice.vector,
        axis(voice.vector, vectors),
        layer,
        config.model.name,
        base_hash,
        tuple(one.cast.group for one in roles),
        tuple(found),
        np.stack(list(found.values())) if found else None,
    )
    without = tuple(cast for one, cast in read if one is None)
    return Made(data, voice, roles, without, (_half_axis(voice, roles, 0), _half_axis(voice, roles, 1)))


def place(config: AxisConfig, run: Run, made: Made, voice: Voice) -> Placed:
    """Where the answers of a role to each question lie; its activations are read once."""
    values = activations_of(run, voice.casting)
    kept = read_role(run, voice.cast.name, config.keep)["kept"].to_numpy()
    even, odd = (_by_question(voice, project(values, half)) for half in made.half_axes)
    own = project(values, made.data.axis)
    own[~kept] = np.nan
    first = np.arange(len(even))[:, None] % 2 == 0
    return Placed(np.where(first, odd, even), _by_question(voice, own))


def _by_question(voice: Voice, placed: Floats) -> Floats:
    """Means (questions, layers) of (responses, layers) over a question's prompts; nan for none."""
    each = placed.reshape(-1, len(voice.casting.questions), placed.shape[-1])
    with np.errstate(invalid="ignore"):
        found: Floats = np.nansum(each, axis=0) / np.isfinite(each).sum(axis=0)
    return found


def _voice(config: AxisConfig, run: Run, casting: Casting, least: int) -> tuple[Voice | None, Cast]:
    """The role with its vector, None if too few of its responses count; and what became of it."""
    role = casting.role
    table = read_role(run, role.name, config.keep)
    values = activations_of(run, casting)
    kept = table["kept"].to_numpy() & np.isfinite(values).all(axis=(1, 2))
    cast = Cast(role.name, role.group, len(table), int(table["error"].notna().sum()), int(kept.sum()))
    vector = role_vector(values, kept, least)
    if vector is None:
        return None, cast
    half = np.arange(len(table)) % len(casting.questions) % 2
    return Voice(
        cast,
        casting,
        vector,
        (role_vector(values, kept & (half == 0)), role_vector(values, kept & (half == 1))),
    ), cast


def _half_axis(default: Voice, roles: Sequence[Voice], half: int) -> Floats32:
    own = default.halves[half]
    others = [found for one in roles if (found := one.halves[half]) is not None]
    if own is None or not others:
        raise DataError("Half of the questions has no response that counts.", "Ask more questions.")
    return axis(own, np.stack(others))


def _trait(run: Run, sides: Sequence[Casting]) -> Floats32 | None:
    positive, negative = (activations_of(run, one) for one in sides)
    return trait_vector(positive, negative)
