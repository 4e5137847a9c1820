"""Entities of a text, out of a number per token and label, as the pipelines of transformers find them.

The answer is one JSON text a row, a list of objects with ``entity_group`` (``entity`` where nothing is
grouped), ``score``, ``word``, ``start`` and ``end``. The steps and their names are those of
``TokenClassificationPipeline`` in transformers' source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import orjson
import tokenizers

from taxiway.serving.block import Tensor

#: How tokens become entities.
STRATEGIES = ("none", "simple", "first", "average", "max")

Entity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Token:
    """One token: how probable each label is, where it lies, and whether it goes on with a word."""

    word: str
    scores: Tensor
    start: int
    end: int
    index: int
    continues: bool


class EntityReader:
    """Reads entities out of logits.

    Parameters
    ----------
    tokenizer
        What encoded the texts.
    options
        ``labels`` in the order of the logits, ``strategy`` (one of ``STRATEGIES``), the ``ignored`` labels,
        and ``unknown``, the number of the token for what the tokenizer does not know.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, options: Mapping[str, Any]) -> None:
        self._labels: Sequence[str] = options["labels"]
        self._strategy: str = options["strategy"]
        self._ignored = frozenset(options["ignored"])
        self._unknown: int | None = options["unknown"]
        self._decoder = tokenizer.decoder
        # such a tokenizer marks the tokens that go on with a word
        self._marks = bool(getattr(tokenizer.model, "continuing_subword_prefix", None))

    def read(self, texts: Sequence[str], encoded: Sequence[tokenizers.Encoding], logits: Tensor) -> Tensor:
        """Give the entities of each text as JSON; ``logits`` are of shape (rows, tokens, labels)."""
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        scores = powers / powers.sum(axis=-1, keepdims=True)
        return np.array(
            [
                dumps(self._entities(list(self._tokens(*row))))
                for row in zip(texts, encoded, scores, strict=True)
            ],
            dtype=object,
        )

    def _tokens(self, text: str, encoded: tokenizers.Encoding, scores: Tensor) -> Iterator[_Token]:
        for place, word in enumerate(encoded.tokens):
            if encoded.special_tokens_mask[place]:
                continue
            start, end = encoded.offsets[place]
            written = text[start:end]
            if self._marks:
                continues = len(word) != len(written)
            else:
                continues = start > 0 and " " not in text[start - 1 : start + 1]
            if encoded.ids[place] == self._unknown:
                word, continues = written, False
            yield _Token(word, scores[place], start, end, place, continues)

    def _entities(self, tokens: Sequence[_Token]) -> list[Entity]:
        if self._strategy in ("none", "simple"):
            found = [self._of_token(token) for token in tokens]
        else:
            found = [self._of_word(word) for word in _words(tokens)]
        name = "entity"
        if self._strategy != "none":
            found = [self._of_group(group) for group in _groups(found)]
            name = "entity_group"
        return [one for one in found if one[name] not in self._ignored]

    def _of_token(self, token: _Token) -> Entity:
        best = int(token.scores.argmax())
        return {
            "entity": self._labels[best],
            "score": float(token.scores[best]),
            "index": token.index,
            "word": token.word,
            "start": token.start,
            "end": token.end,
        }

    def _of_word(self, tokens: Sequence[_Token]) -> Entity:
        if self._strategy == "first":
            scores = tokens[0].scores
        elif self._strategy == "max":
            scores = max((token.scores for token in tokens), key=lambda one: one.max())
        else:
            scores = np.mean([token.scores for token in tokens], axis=0)
        best = int(scores.argmax())
        return {
            "entity": self._labels[best],
            "score": float(scores[best]),
            "word": self._joined(token.word for token in tokens),
            "start": tokens[0].start,
            "end": tokens[-1].end,
        }

    def _of_group(self, found: Sequence[Entity]) -> Entity:
        return {
            "entity_group": found[0]["entity"].split("-", 1)[-1],
            "score": float(np.mean([one["score"] for one in found])),
            "word": self._joined(one["word"] for one in found),
            "start": found[0]["start"],
            "end": found[-1]["end"],
        }

    def _joined(self, words: Iterable[str]) -> str:
        given = list(words)
        text: str = " ".join(given) if self._decoder is None else self._decoder.decode(given)
        return text


def dumps(found: Sequence[Mapping[str, Any]]) -> str:
    """Write entities as one JSON text."""
    return orjson.dumps(list(found)).decode()


def _words(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """Put each token that goes on with a word to those before it."""
    word: list[_Token] = []
    for token in tokens:
        if word and not token.continues:
            yield word
            word = []
        word.append(token)
    if word:
        yield word


def _groups(found: Sequence[Entity]) -> Iterator[list[Entity]]:
    """Put neighbours of one kind together; ``B-`` begins another one."""
    number, last = 0, None
    numbers = []
    for one in found:
        begins = one["entity"].startswith("B-")
        kind = one["entity"][2:] if one["entity"].startswith(("B-", "I-")) else one["entity"]
        number += begins or kind != last
        last = kind
        numbers.append(number)
    for _, group in groupby(zip(numbers, found, strict=True), key=lambda pair: pair[0]):
        yield [one for _, one in group]
