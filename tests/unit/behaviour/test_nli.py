"""The NLI model: loaded from a folder, with labels in any order."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlpersona.behaviour.nli import NLI
from rlpersona.errors import ModelError

LABELS = ("contradiction", "entailment", "neutral")


def classifier(folder: Path, labels: tuple[str, ...]) -> str:
    """A BERT of one layer with random weights; its first label is always by far the likeliest."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "tea", "is", "good", "bad", "."]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")
    tokenizer.model_max_length = 32
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.bias[0] = 5.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def contradicting(tmp_path_factory: pytest.TempPathFactory) -> NLI:
    return NLI.load(classifier(tmp_path_factory.mktemp("nli"), LABELS))


def test_labels_are_read_by_name(contradicting: NLI, tmp_path: Path) -> None:
    pairs = [("tea is good.", "tea is bad."), ("tea " * 60, "is")]
    for one in contradicting.infer(pairs):
        assert one.entailment + one.neutral + one.contradiction == pytest.approx(1)
        assert one.contradiction > 0.9
    entailing = NLI.load(classifier(tmp_path, ("ENTAILMENT", "contradiction", "neutral")))
    assert all(one.entailment > 0.9 for one in entailing.infer(pairs))
    assert entailing.agreement(["tea is good."], ["tea is good."])[0] > 0.8
    assert contradicting.agreement(["tea is good."], ["tea is good."])[0] < -0.8


def test_batches_do_not_matter(contradicting: NLI) -> None:
    pairs = [(f"tea is {'good ' * i}.", "tea is bad.") for i in range(5)]
    together = [one.contradiction for one in contradicting.infer(pairs)]
    assert together == pytest.approx([contradicting.infer([pair])[0].contradiction for pair in pairs])
    assert contradicting.infer([]) == []


def test_contradiction_over_pairs_of_sentences(contradicting: NLI) -> None:
    assert contradicting.contradiction("tea is good.") is None
    assert contradicting.contradiction("tea is good. tea is bad. tea is.") == 1


def test_what_is_no_nli_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="positive"):
        NLI.load(classifier(tmp_path, ("positive", "negative", "mixed")))
    with pytest.raises(ModelError, match="cannot be loaded") as refused:
        NLI.load(str(tmp_path / "nowhere"))
    assert "sequence classifier" in refused.value.hint
