"""Mean activations of responses: batched, length-sorted, nothing kept but the means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rlpersona.axis.blocks import decoder_of, middle_layer, shape_of, visiting
from rlpersona.config import ModelConfig
from rlpersona.models.encode import Encoder
from rlpersona.models.kv import Runner
from rlpersona.models.sharing import Row, batches, plan
from rlpersona.types import Completion, Prompt, Sampling

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Chat", "Extractor", "mean_activations", "middle_layer", "pooled", "stream_activations"]

Floats32 = npt.NDArray[np.float32]
Chat = tuple[Prompt, str | Sequence[int]]  # a prompt, and the text or the token ids that answer it
Part = tuple[list[int], list[int]]  # ids of the prompt and of the response
Span = Literal["response", "prompt"]

CPU_TOKENS = 2048  # a larger pass falls out of a CPU's cache and takes longer
SORT_SPAN = 1024  # chats sorted by length together; bounds what a stream holds


def mean_activations(
    net: Any, encoder: Encoder, chats: Sequence[Chat], *, batch_tokens: int, span: Span = "response"
) -> Floats32:
    """Residual stream after each block, mean over the response's tokens: float32 (chats, layers, d).

    Every token of the response counts alike; the special tokens that end it (end of turn) do not, nor
    does the template around it. With `span="prompt"` the mean is over the prompt's tokens instead,
    template included. A response without any token gives a row of nan.

    A text is tokenised together with its prompt. Sampled tokens need not be those that their text is
    tokenised to, so give the ids of a completion where they are known. The means of two calls differ by
    rounding alone, whatever else is in the batch; the same call on one machine gives the same numbers.

    Raises:
        ModelError: a chat over the model's window.
    """
    layers, width = shape_of(net.config)
    found = np.empty((len(chats), layers, width), np.float32)
    stream = stream_activations(net, encoder, chats, batch_tokens=batch_tokens, span=span)
    for positions, values in stream:
        found[positions] = values
    return found


def stream_activations(
    net: Any, encoder: Encoder, chats: Iterable[Chat], *, batch_tokens: int, span: Span = "response"
) -> Iterator[tuple[list[int], Floats32]]:
    """`mean_activations` batch by batch: positions among the chats, and their (rows, layers, d).

    Chats are taken as they are needed, `SORT_SPAN` at a time, so memory does not grow with their number.
    """
    marks = special_tokens(encoder)
    pad = encoder.tokenizer.pad_token_id or 0
    rest, start = iter(chats), 0
    while block := list(islice(rest, SORT_SPAN)):
        parts = tokens(encoder, block, marks)
        for batch, values in _passes(net, parts, batch_tokens, span, pad):
            empty = [not parts[at][span == "response"] for at in batch]
            values[empty] = np.nan
            yield [start + at for at in batch], values
        start += len(block)


def _passes(
    net: Any, parts: Sequence[Part], batch_tokens: int, span: Span, pad: int
) -> Iterator[tuple[list[int], Floats32]]:
    """Every chat once. Where prompts begin alike, as under one system prompt, that is computed once."""
    import torch

    runner = Runner(net, pad)
    rows = [context + response for context, response in parts]
    # Padding within a row would count in a sliding window.
    sliding = getattr(net.config.get_text_config(), "sliding_window", None) or 10**9
    share = span == "response" and 2 * max(map(len, rows)) <= sliding
    for block in plan([context for context, _ in parts], batch_tokens, share):
        if not block.prefixes:
            chosen = [row.index for row in block.rows]
            for batch in batches([len(rows[at]) for at in chosen], 0, batch_tokens):
                these = [chosen[at] for at in batch]
                yield these, pooled(net, *_padded([parts[at] for at in these], span, pad)).cpu().numpy()
            continue
        with torch.inference_mode():
            shared = runner.shared(block.prefixes)
        rest = [Row(row.index, row.group, [*row.suffix, *parts[row.index][1]]) for row in block.rows]
        before = max(map(len, block.prefixes))
        for batch in batches([len(row.suffix) for row in rest], before, batch_tokens):
            ends = [rest[at] for at in batch]
            lengths = [len(parts[row.index][1]) for row in ends]
            values = _following(net, runner, ends, lengths, shared)
            yield [row.index for row in ends], values.cpu().numpy()


def _following(
    net: Any, runner: Runner, rows: Sequence[Row], lengths: Sequence[int], shared: Any
) -> Tensor:
    """Means over the last `lengths` tokens of rows whose beginnings were computed before."""
    import torch

    width = max(len(row.suffix) for row in rows)
    weights = torch.zeros(len(rows), width)
    for at, length in enumerate(lengths):
        weights[at, width - length :] = 1 / max(length, 1)
    with torch.inference_mode(), summing(net, weights) as sums:
        runner.start(rows, shared)
    return torch.stack(sums, dim=1)


@contextmanager
def summing(net: Any, weights: Tensor) -> Iterator[list[Tensor]]:
    """Fills the list, layer by layer, with the weighted sums (rows, d) of the next forward pass."""
    import torch

    decoder = decoder_of(net)
    weight = weights.to(next(decoder.parameters()).device, torch.float32)[:, None]
    sums: list[Tensor] = []

    def add(hidden: Tensor) -> None:
        sums.append(torch.bmm(weight, hidden.float())[:, 0])

    with visiting(net, dict.fromkeys(range(len(decoder.layers)), add)):
        yield sums


def pooled(net: Any, ids: Tensor, weights: Tensor, mask: Tensor | None = None) -> Tensor:
    """Weighted sums of the residual stream after each block: float32 (rows, layers, d).

    `ids` and `weights` (a row's sum to 1 for a mean) are (rows, tokens). `mask` marks real tokens and
    may be left out where padding comes last: with causal attention no real token sees it. The final
    norm is not applied, and no logits are computed.
    """
    import torch

    decoder = decoder_of(net)
    device = next(decoder.parameters()).device
    inputs: dict[str, Any] = {"input_ids": ids.to(device), "use_cache": False}
    if mask is not None:
        mask = mask.to(device)
        inputs |= {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    with torch.inference_mode(), summing(net, weights) as sums:
        decoder(**inputs)
    return torch.stack(sums, dim=1)


def tokens(encoder: Encoder, chats: Sequence[Chat], marks: frozenset[int]) -> list[Part]:
    """Ids of each chat's prompt, and of its response without the special tokens that end it."""
    given = [(prompt, answer) for prompt, answer in chats if not isinstance(answer, str)]
    known = iter(encoder.followed([prompt for prompt, _ in given], [ids for _, ids in given]))
    parts = []
    for prompt, answer in chats:
        context, response = encoder.response(prompt, answer) if isinstance(answer, str) else next(known)
        while response and response[-1] in marks:
            response = response[:-1]
        parts.append((context, response))
    return parts


def special_tokens(encoder: Encoder) -> frozenset[int]:
    """Ids of all tokens that are marks, not text."""
    added = encoder.tokenizer.added_tokens_decoder
    return frozenset(index for index, token in added.items() if token.special)


def _padded(parts: Sequence[Part], span: Span, pad: int) -> tuple[Tensor, Tensor]:
    """Ids padded on the right, and the weights of the span's mean."""
    import torch

    width = max(len(context) + len(response) for context, response in parts)
    ids = torch.full((len(parts), width), pad)
    weights = torch.zeros(len(parts), width)
    for at, (context, response) in enumerate(parts):
        end = len(context) + len(response)
        ids[at, :end] = torch.tensor(context + response)
        if span == "prompt":
            weights[at, : len(context)] = 1 / len(context)
        elif response:
            weights[at, len(context) : end] = 1 / len(response)
    return ids, weights


class Extractor:
    """A model that answers and shows its activations: the object of a replica of `runtime.ReplicaPool`.

    It is loaded by the code of the transformers engine, whatever `config.engine` says: other engines do
    not show what happens inside. Adapters must be of the model's own weights.
    """

    def __init__(self, config: ModelConfig) -> None:
        from rlpersona.models.hf import HFModel

        self.model = HFModel(config)
        net = self.model.network()
        self.layers, self.width = shape_of(net.config)
        on_cpu = net.device.type == "cpu"
        self._batch_tokens = min(config.batch_tokens, CPU_TOKENS) if on_cpu else config.batch_tokens

    def extract(
        self, chats: Sequence[Chat], adapter: str | None = None, span: Span = "response"
    ) -> Floats32:
        """`mean_activations` of the base, or under an adapter.

        Raises:
            ModelError: a chat over the window, an adapter of other weights, a closed model.
        """
        net = self.model.network(adapter)
        return mean_activations(
            net, self.model.encoder, chats, batch_tokens=self._batch_tokens, span=span
        )

    def stream(
        self, chats: Iterable[Chat], adapter: str | None = None
    ) -> Iterator[tuple[list[int], Floats32]]:
        """`stream_activations`; no other adapter may be used before it has ended."""
        net = self.model.network(adapter)
        return stream_activations(net, self.model.encoder, chats, batch_tokens=self._batch_tokens)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        """One completion per prompt, in order (see `types.Model.generate`)."""
        return self.model.generate(prompts, sampling, adapter)

    def close(self) -> None:
        """Free the model. Safe to call twice."""
        self.model.close()
