"""vLLM's asynchronous engine: continuous batches, several adapters in one of them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError, ServeError
from rlpersona.models.adapters import CONFIG, WEIGHTS, adapter_rank, adapter_version
from rlpersona.models.encode import Encoder, end_tokens, window_of
from rlpersona.models.lineage import refuse_other_base
from rlpersona.models.locate import load_failure, locate
from rlpersona.models.sampler import stream_seed
from rlpersona.models.vllm import RANKS, engine_arguments, import_vllm
from rlpersona.serving.engine import Ask, Piece

MAX_ADAPTERS = 8  # of them in one batch; more wait for the next
BROKEN = ("abort", "error")  # ends that are no end of an answer


class VLLMEngine:
    """`serving.engine.Engine` over AsyncLLM, whose steps run in a process of their own.

    On CPU vLLM computes base requests wrongly when they share a batch with adapter requests: there, an
    engine with adapters answers for the base with an adapter of zeros.
    """

    def __init__(self, config: ModelConfig, adapters: Sequence[str], in_flight: int) -> None:
        import torch

        self._config = config
        self._source = locate(config.name)
        self._cpu = config.device == "cpu" or not torch.cuda.is_available()
        if config.device == "cuda" and self._cpu:
            raise ModelError("device=cuda, but torch finds no CUDA device here", "Use device=auto.")
        self._vllm = import_vllm(self._cpu)
        self._known: dict[str, tuple[str, Any]] = {}  # folder -> (version, LoRARequest)
        self._ids = itertools.count(1)
        self._rank = _rank(adapters)
        self._zero: tempfile.TemporaryDirectory[str] | None = None
        self._base: Any = None
        self._llm: Any = self._build(len(adapters), in_flight)
        if adapters and self._cpu:
            self._zero = tempfile.TemporaryDirectory(prefix="rlpersona-zero-")
            write_zero_adapter(Path(adapters[0]), Path(self._zero.name))
            self._base = self._request(self._zero.name)

    async def answer(self, ask: Ask, identity: str) -> AsyncGenerator[Piece]:
        """See `Engine.answer`; a stream gives the tokens of a step as soon as the step is done."""
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        lora = self._base if ask.adapter is None else self._adapter(ask.adapter)
        greedy = ask.temperature == 0
        params = self._vllm.SamplingParams(
            max_tokens=min(ask.max_tokens, self.encoder.window - len(ask.ids)),
            temperature=ask.temperature,
            top_p=ask.top_p,
            seed=None if greedy or ask.seed is None else stream_seed(ask.seed, 0),
            stop=list(ask.stop),
            stop_token_ids=self._ends,
            output_kind=RequestOutputKind.DELTA if ask.stream else RequestOutputKind.FINAL_ONLY,
            skip_clone=True,
        )
        prompt = {"prompt_token_ids": ask.ids}
        try:
            async for output in self._llm.generate(prompt, params, identity, lora_request=lora):
                one = output.outputs[0]
                if one.finish_reason in BROKEN:
                    raise ServeError("the engine broke off this answer", "Try again in a moment.")
                yield Piece(one.text, len(one.token_ids), one.finish_reason or "")
        except (EngineDeadError, EngineGenerateError) as error:
            raise ServeError(
                f"the engine failed: {error.__cause__ or error}", "Try again in a minute."
            ) from error

    def alive(self) -> bool:
        """Whether the engine's process is there."""
        return self._llm is not None and not self._llm.errored

    async def close(self) -> None:
        """End the engine's process."""
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None
        if self._zero is not None:
            self._zero.cleanup()

    def _build(self, adapters: int, in_flight: int) -> Any:
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoTokenizer
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        try:
            tokenizer = AutoTokenizer.from_pretrained(self._source)
            hf_config = AutoConfig.from_pretrained(self._source)
            window = window_of(hf_config, tokenizer, self._config.window)
            options = engine_arguments(self._config, hf_config, window, self._cpu)
            if adapters:
                options |= {"enable_lora": True, "max_lora_rank": self._rank}
                options |= {"max_loras": min(adapters + 1, MAX_ADAPTERS)}
            if self._cpu or self._config.gpus_per_replica <= 1:
                options["distributed_executor_backend"] = "uni"
            arguments = AsyncEngineArgs(
                model=self._source,
                max_num_seqs=in_flight,
                disable_log_stats=True,
                generation_config="vllm",
                **options,
            )
            llm = AsyncLLM.from_engine_args(arguments)
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
            raise load_failure(self._config.name, error) from error
        self.encoder = Encoder(tokenizer, window)
        self._ends = sorted(
            end_tokens(tokenizer.eos_token_id, hf_config.eos_token_id, _ends(self._source))
        )
        return llm

    def _adapter(self, folder: str) -> Any:
        """The request for an adapter, under a fresh id whenever its folder was written again."""
        known, request = self._known.get(folder, ("", None))
        if request is not None and known == adapter_version(folder):
            return request
        if adapter_rank(folder) > self._rank:
            raise ModelError(
                f"adapter '{folder}' has rank {adapter_rank(folder)}, the engine was started for"
                f" {self._rank}",
                "Start the service again.",
            )
        refuse_other_base(folder, self._config.name)
        return self._request(folder)

    def _request(self, folder: str) -> Any:
        from vllm.lora.request import LoRARequest

        number = next(self._ids)
        request = LoRARequest(f"{folder}#{number}", number, folder)
        self._known[folder] = (adapter_version(folder), request)
        return request


def write_zero_adapter(like: Path, folder: Path) -> None:
    """An adapter that changes nothing, of the shape of the one in `like`."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(like / WEIGHTS)
    save_file({name: torch.zeros_like(tensor) for name, tensor in tensors.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text((like / CONFIG).read_text())


def _rank(adapters: Sequence[str]) -> int:
    """The LoRA rank that an engine for these adapters is built with."""
    largest = max(map(adapter_rank, adapters), default=0)
    if largest > RANKS[-1]:
        raise ModelError(f"an adapter has rank {largest}, vLLM takes at most {RANKS[-1]}")
    return next(size for size in RANKS if size >= largest)


def _ends(source: str) -> int | list[int] | None:
    """What the model's generation config names as its end."""
    from transformers import GenerationConfig

    try:
        ends: int | list[int] | None = GenerationConfig.from_pretrained(source).eos_token_id
    except OSError:
        return None
    return ends
