"""Small random models with real files: a Llama, its tokenizer, LoRA adapters for it."""

from __future__ import annotations

from pathlib import Path

SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
NAMES = ["Marie Curie", "Isaac Newton", "Ada Lovelace", "Charles Darwin"]
QUESTIONS = [
    "What is the capital of France?",
    "What is 3 + 4?",
    "Is it true that cats bark? Please tell me what you think, at some length.",
    "Name a colour.",
]
CHOICES = (" 12 Paris", "Berlin", "a green house", "red")


def save_tokenizer(folder: Path, chat: str | None = CHAT) -> int:
    """Save a byte-level BPE tokenizer; returns the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(
        [*(f"You are {name}." for name in NAMES), *QUESTIONS, *CHOICES] * 20, trainer
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tok, pad_token=SPECIAL[0], eos_token=SPECIAL[1], model_max_length=512
    )
    fast.add_special_tokens({"additional_special_tokens": SPECIAL[2:]})
    fast.chat_template = chat
    fast.save_pretrained(folder)
    return len(fast)


def save_llama(folder: Path, vocabulary: int, spread: float = 0.3, hidden: int = 64) -> None:
    """Save random weights, spread widely enough that greedy texts differ from prompt to prompt."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=128,
        max_position_embeddings=256,
        initializer_range=spread,
        tie_word_embeddings=True,
        eos_token_id=1,
        pad_token_id=0,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def save_lora(folder: Path, base: str, seed: int) -> None:
    """Save a LoRA adapter whose weights are far from zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    net = AutoModelForCausalLM.from_pretrained(base)
    net = get_peft_model(net, LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"]))
    for name, weight in net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    net.save_pretrained(folder)
