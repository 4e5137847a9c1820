r"""Text in scikit-learn: what CountVectorizer and TfidfVectorizer must be told to be exact in ONNX.

ONNX Runtime cuts words out with RE2, whose ``\w`` knows only ASCII and which has no look-around; the default
pattern of scikit-learn is given to it as the same set of characters. What it does otherwise than
scikit-learn, whatever it is told, is refused here, for a reference of plain text would not show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from taxiway.errors import PackagingError

_DEFAULT = r"(?u)\b\w\w+\b"
_SAME = r"[\p{L}\p{N}_]{2,}"
#: Escapes that mean other characters, or nothing, to RE2.
_ESCAPES = ("\\w", "\\W", "\\b", "\\B", "\\d", "\\D", "\\s", "\\S", "(?")


def tokenizers(steps: Sequence[tuple[str, Any]]) -> dict[int, dict[str, str]]:
    """Give skl2onnx's options for each vectorizer, by identity.

    Raises
    ------
    PackagingError
        A vectorizer does what ONNX Runtime does otherwise.
    """
    found = {}
    for path, step in steps:
        if _is_vectorizer(step):
            for problem, remedy in _problems(step):
                raise PackagingError(
                    f"Step {path!r} is a {type(step).__name__} with {problem}, which has no equal in ONNX.",
                    hint=f"{remedy}, or keep it as it is with format='skops'.",
                )
            if step.token_pattern == _DEFAULT:
                found[id(step)] = {"tokenexp": _SAME}
    return found


def in_any_locale(model: Any) -> Any:
    """Let text be put in lower case by a locale that every Linux has; the default is ``en_US.UTF-8``."""
    from onnx import helper

    for node in model.graph.node:
        if node.op_type == "StringNormalizer":
            for attribute in [one for one in node.attribute if one.name == "locale"]:
                node.attribute.remove(attribute)
            node.attribute.append(helper.make_attribute("locale", "C.UTF-8"))
    return model


def _is_vectorizer(step: Any) -> bool:
    from sklearn.feature_extraction.text import CountVectorizer

    return isinstance(step, CountVectorizer)  # TfidfVectorizer is one


def _problems(step: Any) -> Iterator[tuple[str, str]]:
    if step.tokenizer is not None or step.preprocessor is not None or callable(step.analyzer):
        yield "a function of your own", "Name the characters of a word in token_pattern"
    elif step.analyzer != "word":
        yield f"analyzer={step.analyzer!r}", "Use words"
    elif step.strip_accents is not None:
        yield f"strip_accents={step.strip_accents!r}", "Strip accents before the model"
    elif step.stop_words is not None and step.ngram_range[1] > 1:
        yield "stop_words and several words together (ngram_range)", "Leave out one of the two"
    elif getattr(step, "sublinear_tf", False):
        yield "sublinear_tf=True", "Leave it out"
    elif step.token_pattern != _DEFAULT and any(one in step.token_pattern for one in _ESCAPES):
        yield (
            f"token_pattern={step.token_pattern!r}",
            "Name the characters, such as token_pattern='[a-zA-Z0-9]+', or use the default",
        )
