"""Where the policy went, on rounds made by hand."""

from __future__ import annotations

from rlpersona.experiments.bandit.convergence import convergence
from rlpersona.types import Persona

PEOPLE = [Persona(str(k), None, group="honest" if k < 2 else "liar") for k in range(5)]


def rounds(*honest: float) -> list[dict[str, object]]:
    return [
        {"round": k, "groups": {"honest": share, "liar": 1 - share}}
        for k, share in enumerate(honest, start=1)
    ]


def test_a_share_counts_from_where_it_stays() -> None:
    honest, liar = convergence(rounds(0.4, 0.6, 0.45, 0.7, 0.92, 0.95), PEOPLE)
    assert honest == {"group": "honest", "pool": 0.4, "final": 0.95, "half": 4, "most": 5}
    assert (liar["group"], liar["half"], liar["most"]) == ("liar", None, None)


def test_a_policy_that_falls_back_at_the_end_has_not_converged() -> None:
    first, _ = convergence(rounds(0.4, 0.95, 0.95, 0.55), PEOPLE)
    assert (first["half"], first["most"]) == (2, None)


def test_without_groups_there_is_nothing_to_say() -> None:
    assert convergence([{"round": 1, "reward": 0.5}], PEOPLE) == []
    assert convergence([], PEOPLE) == []
