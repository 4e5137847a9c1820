"""A small language of its own: sentences of two data sets, a tokenizer trained on them, tiny DistilBERTs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn import datasets

TOPICS = ("tumours", "wine")
LONG = "alcohol and malic acid of wine " * 30
LENGTH = 24


def sentences() -> pd.DataFrame:
    """Lines of what scikit-learn tells of two data sets, and of which of them each tells."""
    rows = [
        (line.strip(), label)
        for label, load in zip(TOPICS, (datasets.load_breast_cancer, datasets.load_wine), strict=True)
        for line in load()["DESCR"].splitlines()
        if len(line.split()) > 3
    ]
    return pd.DataFrame(rows, columns=["sentence", "about"])


def tokenizer_of(texts: Sequence[str], *, side: str = "right") -> Any:
    """A WordPiece tokenizer that has learnt the words of some texts."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    words.train_from_iterator(texts, trainer)
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="[UNK]",
        pad_token="[PAD]",
        model_max_length=LENGTH,
        padding_side=side,
        model_input_names=["input_ids", "attention_mask"],
    )


def config_of(labels: Sequence[str], **more: Any) -> Any:
    """The configuration of a tiny DistilBERT with these labels."""
    import transformers

    return transformers.DistilBertConfig(
        vocab_size=500,
        dim=32,
        n_layers=1,
        n_heads=2,
        hidden_dim=64,
        max_position_embeddings=LENGTH,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        **more,
    )


def learn(model: Any, batch: Any, target: Any, steps: int = 30) -> Any:
    """Train a model for a few steps on one batch."""
    import torch

    torch.set_num_threads(1)  # so small a model is only slowed by more
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        names = ("input_ids", "attention_mask")
        model(**{name: batch[name] for name in names}, labels=target).loss.backward()
        optimizer.step()
    return model.eval()


def save(folder: Path, *parts: Any) -> Path:
    """Write a model and what goes with it into a folder."""
    for part in parts:
        part.save_pretrained(folder)
    return folder
