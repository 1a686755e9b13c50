"""Looks at held-out prompts while a pack trains: one completion a prompt, of all conditions at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from rlpersona.training.alarm import Look
from rlpersona.training.kl import k3
from rlpersona.training.packed.layout import Group
from rlpersona.training.packed.member import Member, Row
from rlpersona.training.packed.network import Network
from rlpersona.training.packed.stack import Pass
from rlpersona.training.watch import means

if TYPE_CHECKING:
    from rlpersona.training.packed.writing import Writer


def look(network: Network, writer: Writer, members: Sequence[Member], step: int) -> dict[int, Row]:
    """What `watch.Watch.look` measures, of each condition by its index; one that fails is parked."""
    written = writer.write(
        [(m.index, m.watched, 1, ("watch", m.job.config.seed, step)) for m in members]
    )
    found: dict[int, Row] = {}
    for member, texts in zip(members, written, strict=True):
        try:
            parts = member.reward(texts.answers, step)
        except Exception as error:  # the border of a condition: the others go on
            member.park(error)
            continue
        distances = _distances(network, member.index, texts.groups)
        rows = [
            (a.question.id, a.question.domain, parts.task[i], a.tokens, a.finished, distances[i])
            for i, a in enumerate(texts.answers)
        ]
        rows.sort(key=lambda row: row[0])
        member.looks.append(Look(step, tuple(row[2] for row in rows)))
        found[member.index] = dict(means(rows))
    return found


def _distances(network: Network, index: int, groups: Sequence[Group]) -> list[float]:
    """KL(now, start) of each completion in nats: k3, summed over its tokens."""
    layout = network.layout([(index, groups)])
    with torch.no_grad():
        now, _ = network.logps(layout, Pass(layout.spans))
        then, _ = network.logps(layout, None)
    sums = torch.zeros(len(groups), device=now.device)
    values: list[float] = sums.index_add_(0, layout.row, k3(then - now)).tolist()
    return values
