"""Text columns in scikit-learn pipelines answer as they did, or are refused by name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from vega_datasets import local_data

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import adapter_for
from taxiway.packaging.inference import columns_of
from taxiway.packaging.parity import Parity
from taxiway.packaging.proof import prove

# vega_datasets reads its JSON with an argument that pandas 3 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:The 'convert_dates'")

STRANGE = "Café-naïve: it's 100% über_x, a b1 ÉCOLE ß 日本 語 Ωmega  two spaces\ttab s-10"


def cars() -> tuple[pd.DataFrame, Any]:
    data = local_data.cars()
    return data[["Name", "Displacement"]], (data.Origin == "USA").to_numpy()


def fitted(vectorizer: Any, inputs: pd.DataFrame, target: Any) -> Pipeline:
    columns = ColumnTransformer([("name", vectorizer, "Name"), ("size", StandardScaler(), ["Displacement"])])
    return Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=500))]).fit(inputs, target)


def proven(model: Pipeline, inputs: pd.DataFrame) -> Parity:
    with tempfile.TemporaryDirectory() as folder:
        return prove(adapter_for(model), columns_of(inputs), inputs, None, Path(folder), waive=False)[1]


@pytest.mark.parametrize("strange", [False, True], ids=["plain", "strange"])
@pytest.mark.parametrize(
    "vectorizer",
    [
        CountVectorizer(),
        TfidfVectorizer(),
        TfidfVectorizer(ngram_range=(1, 2), min_df=2),
        CountVectorizer(lowercase=False, binary=True),
        TfidfVectorizer(stop_words="english"),
        CountVectorizer(token_pattern="[a-zA-Z0-9]+", ngram_range=(1, 2)),
    ],
    ids=str,
)
def test_words_are_counted_as_in_the_notebook(vectorizer: Any, strange: bool) -> None:
    inputs, target = cars()
    if strange:
        inputs = inputs.assign(
            Name=[f"{STRANGE} {name}" if row % 2 else "" for row, name in enumerate(inputs.Name)]
        )
    assert proven(fitted(vectorizer, inputs, target), inputs).passed


@pytest.mark.parametrize(
    ("vectorizer", "why"),
    [
        (CountVectorizer(analyzer="char"), "analyzer='char'"),
        (TfidfVectorizer(strip_accents="unicode"), "strip_accents='unicode'"),
        (TfidfVectorizer(stop_words="english", ngram_range=(1, 2)), "several words together"),
        (TfidfVectorizer(sublinear_tf=True), "sublinear_tf"),
        (CountVectorizer(tokenizer=str.split, token_pattern=None), "a function of your own"),
        (CountVectorizer(token_pattern=r"\w+"), "token_pattern"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_onnx_counts_otherwise_is_refused_by_its_step(vectorizer: Any, why: str) -> None:
    inputs, target = cars()
    with pytest.raises(PackagingError, match=r"Step 'columns\.name'") as refused:
        proven(fitted(vectorizer, inputs, target), inputs)
    assert why in refused.value.message
    assert "skops" in refused.value.hint
