"""Completions of a pack by vLLM: one engine, an adapter request for each condition.

The engine has a copy of the base. Before every call the adapters are written to files and go in under
new names, so nothing that was kept for old weights (adapters, blocks of the prefix cache) is read again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlpersona.errors import ModelError
from rlpersona.models.encode import window_of
from rlpersona.models.locate import load_failure, locate
from rlpersona.models.sampler import stream_seed
from rlpersona.models.vllm import (
    RANKS,
    engine_arguments,
    import_vllm,
    sampling_params,
    token_logprobs,
)
from rlpersona.tasks.identity import unit
from rlpersona.training.grpo import GRPOJob
from rlpersona.training.packed.network import Network
from rlpersona.training.packed.rollouts import end_ids
from rlpersona.training.packed.writing import Request, Texts, Written
from rlpersona.types import Sampling


class EngineWriter:
    """Writes with vLLM; implements `writing.Writer`. Each row has a seed of its own."""

    def __init__(self, network: Network, tokenizer: Any, job: GRPOJob) -> None:
        recipe = job.config.recipe
        self._network, self._lineage = network, job.start.lineage()
        self._sampling = Sampling(max_tokens=recipe.max_completion, temperature=recipe.temperature)
        if job.start.adapters:
            raise ModelError(
                "rollouts=vllm in a pack wants a base without adapters merged into it",
                "Merge them first (rlpersona.training.export.merge), or set recipe.rollouts=hf.",
            )
        self._texts = Texts(tokenizer, end_ids(network.net, tokenizer))
        self._folder = tempfile.TemporaryDirectory(prefix="rlpersona-")
        self._version = 0
        cpu = not job.start.on_cuda
        self._vllm = import_vllm(cpu)
        window = window_of(network.net.config, tokenizer, job.start.model.window)
        options = engine_arguments(job.start.model, network.net.config, window, cpu)
        if not cpu:
            options["gpu_memory_utilization"] = recipe.vllm_gpu_memory
        rank = next((size for size in RANKS if size >= recipe.lora.rank), RANKS[-1])
        options |= {
            "enable_lora": True,
            "max_lora_rank": rank,
            "max_loras": network.stack.count,
            "logprobs_mode": "processed_logprobs",  # at the temperature that tokens are drawn at
        }
        try:
            self._llm = self._vllm.LLM(locate(job.start.model.name), use_tqdm_on_load=False, **options)
        except (OSError, ValueError, RuntimeError) as error:
            raise load_failure(job.start.model.name, error) from error

    def write(self, requests: Sequence[Request]) -> list[Written]:
        """See `Writer`; the log-probabilities are those that vLLM drew the tokens with."""
        self._version += 1
        inputs, params, adapters = [], [], []
        for condition, questions, each, stream in requests:
            request = self._adapter(condition)
            seed = int(unit("packed", *stream) * 2**53)
            for row in range(len(questions) * each):
                inputs.append({"prompt_token_ids": self._texts.prompt(questions[row // each].text)})
                params.append(
                    sampling_params(self._vllm, self._sampling, self._texts.ends, stream_seed(seed, row))
                )
                adapters.append(request)
        outputs = self._llm.generate(inputs, params, use_tqdm=False, lora_request=adapters)
        for old in Path(self._folder.name).iterdir():
            shutil.rmtree(old)
        found, begin = [], 0
        for _, questions, each, _ in requests:
            own = [output.outputs[0] for output in outputs[begin : begin + len(questions) * each]]
            begin += len(own)
            written = self._texts.written(questions, [list(one.token_ids) for one in own])
            found.append(Written(written.groups, written.answers, [token_logprobs(one) for one in own]))
        return found

    def close(self) -> None:
        """Stop the engine."""
        self._llm.llm_engine.engine_core.shutdown()
        self._folder.cleanup()

    def _adapter(self, condition: int) -> Any:
        from vllm.lora.request import LoRARequest

        name = f"{condition}-{self._version}"
        folder = Path(self._folder.name) / name
        self._network.stack.save(condition, folder, self._lineage)
        number = self._version * self._network.stack.count + condition + 1
        return LoRARequest(name, number, str(folder))
