"""The transformers engine: batched, length-sorted, shared beginnings computed once."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.models.adapters import adapter_version
from rlpersona.models.encode import Encoder, end_tokens, window_of
from rlpersona.models.kv import Runner, State
from rlpersona.models.lineage import refuse_other_base
from rlpersona.models.locate import load_failure, locate
from rlpersona.models.sampler import draw, uniforms
from rlpersona.models.sharing import Row, batches, plan
from rlpersona.types import ChoiceScores, Completion, Prompt, Sampling

MAX_ADAPTERS = 8  # kept loaded; the least recently used goes first
MAX_LOGITS = 2**26  # elements of one logits tensor when continuations are scored (256 MB)


class Steers(Protocol):
    """Something that changes what happens inside a network while a context lasts."""

    def on(self, net: Any) -> AbstractContextManager[None]:
        """The context."""
        ...


class HFModel:
    """A causal language model in this process, on CPU or CUDA; implements `types.Model`.

    `token_ids` of a completion include the end-of-turn token that stopped it, `text` does not.
    On one machine the same call gives the same numbers every time. Under `steering` every forward pass
    is changed, in the order given (see `rlpersona.axis.steering`), with any adapter and without.
    """

    def __init__(self, config: ModelConfig, steering: Sequence[Steers] = ()) -> None:
        self._config = config
        self._steering = tuple(steering)
        self._source = locate(config.name)
        self._net: Any = None
        self._runner: Runner | None = None
        self._peft: Any = None
        self._adapters: dict[str, str] = {}  # version -> name inside PEFT, least recently used first
        self._attached = 0
        self._load()

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        """One completion per prompt, in order (see `types.Model.generate`).

        A completion ends with finish `"length"` where prompt and completion fill the window.

        Raises:
            ModelError: a prompt over the window, an adapter that does not fit, a closed model.
        """
        return self.continue_ids([self.encoder.prompt(p) for p in prompts], sampling, adapter)

    def continue_ids(
        self, ids: Sequence[Sequence[int]], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        """`generate` for prompts whose token ids are there already (see `Encoder`)."""
        self._use(adapter)
        done: list[Completion | None] = [None] * len(ids)
        for rows, state in self._started(ids, [sampling.max_tokens] * len(ids)):
            room = [min(sampling.max_tokens, self.encoder.window - len(ids[row.index])) for row in rows]
            for row, (tokens, logprobs) in zip(
                rows, self._decode([row.index for row in rows], room, state, sampling), strict=True
            ):
                stopped = bool(tokens) and tokens[-1] in self._ends
                text = self.encoder.text(tokens[:-1] if stopped else tokens)
                done[row.index] = Completion(
                    text, tuple(tokens), tuple(logprobs), "stop" if stopped else "length"
                )
        return [completion for completion in done if completion is not None]

    def score_choices(
        self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]], adapter: str | None = None
    ) -> list[ChoiceScores]:
        """Log-likelihoods of `choices[i]` after `prompts[i]`, in order (see `types.Model`).

        The prompt is computed once for all its choices: their first tokens are read off its last
        logits, and only choices of several tokens need a second pass, from its cache.

        Raises:
            ModelError: as `generate`; also an empty choice.
        """
        self._use(adapter)
        encoded = [self.encoder.choices(p, c) for p, c in zip(prompts, choices, strict=True)]
        done: list[ChoiceScores | None] = [None] * len(encoded)
        longest = [max(map(len, continuations)) - 1 for _, continuations in encoded]
        for rows, state in self._started([context for context, _ in encoded], longest):
            wanted = [encoded[row.index][1] for row in rows]
            for row, continuations, scores in zip(rows, wanted, self._score(wanted, state), strict=True):
                done[row.index] = ChoiceScores(tuple(scores), tuple(map(len, continuations)))
        return [scores for scores in done if scores is not None]

    def network(self, adapter: str | None = None) -> Any:
        """The transformers model with an adapter on, or none: for those who look inside.

        Raises:
            ModelError: an adapter that does not fit, a closed model.
        """
        self._use(adapter)
        return self._net

    def close(self) -> None:
        """Free the weights and caches. Safe to call twice."""
        self._net = self._runner = self._peft = None
        self._adapters.clear()
        gc.collect()
        if self._cuda:
            import torch

            torch.cuda.empty_cache()

    def _load(self) -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        device = self._config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda" and not torch.cuda.is_available():
            raise ModelError(
                "device=cuda, but torch finds no CUDA device here", "Use device=auto or cpu."
            )
        self._cuda = device == "cuda"
        dtype = self._config.dtype
        if dtype == "auto":
            dtype = "bfloat16" if self._cuda else "float32"
        try:
            tokenizer = AutoTokenizer.from_pretrained(self._source)
            net = AutoModelForCausalLM.from_pretrained(
                self._source, dtype=getattr(torch, dtype), use_safetensors=True
            )
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
            raise load_failure(self._config.name, error) from error
        self._net = net.eval().requires_grad_(False).to(device)
        self._steered = ExitStack()  # holds hooks of this net, which go when it goes
        for change in self._steering:
            self._steered.enter_context(change.on(self._net))
        self._runner = Runner(self._net, tokenizer.pad_token_id or 0)
        self._peft = None
        self._adapters.clear()
        self.encoder = Encoder(tokenizer, window_of(net.config, tokenizer, self._config.window))
        self._ends = end_tokens(net.generation_config.eos_token_id, tokenizer.eos_token_id)
        sliding = getattr(net.config.get_text_config(), "sliding_window", None)
        self._sliding = sliding or 10**9

    def _started(
        self, prompts: Sequence[Sequence[int]], extra: Sequence[int]
    ) -> Iterator[tuple[list[Row], State]]:
        """Every prompt once: the rows of each batch and their state at the end of the prompt.

        `extra[i]` slots will be appended to row i; a batch with them stays within `batch_tokens`.
        """
        import torch

        runner, budget = self._open(), self._config.batch_tokens
        # A sliding window counts slots, padding included: with gaps it would see too little.
        share = 2 * max(map(len, prompts), default=0) + max(extra, default=0) <= self._sliding
        with torch.inference_mode():
            for block in plan(prompts, budget, share):
                shared = runner.shared(block.prefixes)
                before = max(map(len, block.prefixes), default=0)
                sizes = [len(row.suffix) for row in block.rows]
                spare = before + max((extra[row.index] for row in block.rows), default=0)
                for batch in batches(sizes, spare, budget):
                    rows = [block.rows[position] for position in batch]
                    yield rows, runner.start(rows, shared)

    def _decode(
        self, indices: list[int], room: list[int], state: State, sampling: Sampling
    ) -> list[tuple[list[int], list[float]]]:
        """Tokens and logprobs of each row until it ends or its room is used."""
        import numpy as np
        import torch

        runner = self._open()
        out: list[tuple[list[int], list[float]]] = [([], []) for _ in indices]
        device = state.mask.device
        streams = None
        if sampling.temperature > 0:
            drawn = np.stack([uniforms(sampling, index) for index in indices])
            streams = torch.from_numpy(drawn).to(device)
        live = list(range(len(indices)))
        for step in range(max(room, default=0)):
            uniform = None if streams is None else streams[live, step]
            tokens, logprobs = draw(state.logits, sampling.temperature, sampling.top_p, uniform)
            going = []
            for at, (token, logprob) in enumerate(zip(tokens.tolist(), logprobs.tolist(), strict=True)):
                ids, values = out[live[at]]
                ids.append(token)
                values.append(logprob)
                if token not in self._ends and len(ids) < room[live[at]]:
                    going.append(at)
            if not going:
                break
            if len(going) < len(live):
                kept = torch.tensor(going, device=device)
                state, tokens = state.select(kept), tokens[kept]
                live = [live[at] for at in going]
            state = runner.step(state, tokens)
        return out

    def _score(self, wanted: Sequence[Sequence[Sequence[int]]], state: State) -> list[list[float]]:
        """Summed log-likelihood of every continuation of every row."""
        import torch

        runner = self._open()
        flat = [(at, ids) for at, continuations in enumerate(wanted) for ids in continuations]
        logits = state.logits.float()
        rows = torch.tensor([at for at, _ in flat], device=logits.device)
        first = torch.tensor([ids[0] for _, ids in flat], device=logits.device)
        scores = logits[rows, first] - logits.logsumexp(-1)[rows]
        longer = [i for i, (_, ids) in enumerate(flat) if len(ids) > 1]
        width, vocabulary = state.mask.shape[1], logits.shape[-1]
        for part in batches([len(flat[i][1]) for i in longer], width, self._config.batch_tokens):
            span = max(1, MAX_LOGITS // (vocabulary * len(flat[longer[part[0]]][1])))
            for low in range(0, len(part), span):
                these = torch.tensor([longer[position] for position in part[low : low + span]])
                ids = [flat[i][1] for i in these.tolist()]
                these = these.to(logits.device)
                scores[these] += runner.follow(state.select(rows[these]), ids)
        values: Iterator[float] = iter(scores.tolist())
        return [[next(values) for _ in continuations] for continuations in wanted]

    def _use(self, adapter: str | None) -> None:
        """Put an adapter on, or take it off; a folder that was written again is loaded afresh."""
        self._open()
        if adapter is None:
            if self._peft is not None:
                self._peft.base_model.disable_adapter_layers()
            return
        version = adapter_version(adapter)
        name = self._adapters.pop(version, None)
        if name is None:
            name = self._attach(adapter)
        self._adapters[version] = name
        self._peft.base_model.enable_adapter_layers()
        self._peft.set_adapter(name, inference_mode=True)
        if len(self._adapters) > MAX_ADAPTERS:
            oldest = next(iter(self._adapters))
            self._peft.delete_adapter(self._adapters.pop(oldest))

    def _open(self) -> Runner:
        if self._runner is None:
            raise ModelError("this model is closed", "Load it again with load_model.")
        return self._runner

    def _attach(self, adapter: str) -> str:
        from peft import PeftModel
        from safetensors import SafetensorError

        refuse_other_base(adapter, self._config.name)
        self._attached += 1
        name = f"v{self._attached}"
        try:
            if self._peft is None:
                self._peft = PeftModel.from_pretrained(self._net, adapter, adapter_name=name).eval()
            else:
                self._peft.load_adapter(adapter, adapter_name=name)
        except (RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
            self._load()  # a half-loaded adapter would leave its layers in the base
            raise ModelError(
                f"adapter '{adapter}' does not fit model '{self._config.name}': {error}",
                "Use it with the base model that it was trained on.",
            ) from error
        return name
