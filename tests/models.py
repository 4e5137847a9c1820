"""Real Models for tests of what runs them: scikit-learn's iris, with a text column beside its numbers.

The folder is as packaging lays it out, but made here, so that serving is tested without packaging.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from taxiway.signature import Column, Output, Signature

NUMBERS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
SITES = ("coast", "hill", "valley")


@dataclass(frozen=True)
class BuiltModel:
    """A Model's folder, the pipeline that it was made of, and the data."""

    path: Path
    name: str
    version: str
    pipeline: Pipeline
    frame: pd.DataFrame

    @property
    def tag(self) -> str:
        return f"{self.name}:{self.version}"

    def rows(self, count: int, start: int = 0) -> list[dict[str, Any]]:
        """Rows as a client sends them."""
        chosen = self.frame.iloc[[(start + row) % len(self.frame) for row in range(count)]]
        return chosen.to_dict(orient="records")


def iris_frame() -> tuple[pd.DataFrame, pd.Series]:
    """Iris with a made text column that follows from the row's number."""
    bunch = load_iris(as_frame=True)
    frame = bunch.data.set_axis(NUMBERS, axis="columns").astype("float64")
    frame["site"] = [SITES[row % 3] for row in range(len(frame))]
    return frame, pd.Series(np.array(bunch.target_names)[bunch.target], name="species")


def build_model(folder: Path, *, name: str = "iris", c: float = 1.0, nullable: bool = False) -> BuiltModel:
    """Train, convert and write one Model under ``folder``; ``c`` makes versions that differ."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    frame, target = iris_frame()
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), NUMBERS), ("site", OneHotEncoder(handle_unknown="ignore"), ["site"])]
    )
    pipeline = Pipeline([("columns", columns), ("model", LogisticRegression(C=c, max_iter=1000))])
    pipeline.fit(frame, target)
    types = [(column, DoubleTensorType([None, 1])) for column in NUMBERS] + [
        ("site", StringTensorType([None, 1]))
    ]
    onnx = to_onnx(pipeline, initial_types=types, options={"zipmap": False}).SerializeToString()
    version = hashlib.sha256(onnx).hexdigest()[:12]
    path = folder / name / version
    path.mkdir(parents=True)
    (path / "model.onnx").write_bytes(onnx)
    classes = list(pipeline.classes_)
    outputs = [{"name": "label", "tensor": "label", "index": None}] + [
        {"name": f"probability_{one}", "tensor": "probabilities", "index": index}
        for index, one in enumerate(classes)
    ]
    inputs = [
        Column(column, "float64", nullable, None, float(frame[column].min()), float(frame[column].max()))
        for column in NUMBERS
    ]
    inputs.append(Column("site", "string", nullable, SITES))
    given = tuple(Output(one["name"], "string" if one["name"] == "label" else "float64") for one in outputs)
    _write(path / "signature.json", Signature(tuple(inputs), given).to_dict())
    sample = frame.iloc[::15]
    probabilities = pipeline.predict_proba(sample)
    _write(
        path / "sample.json",
        {
            "records": sample.to_dict(orient="records"),
            "outputs": {
                "label": list(pipeline.predict(sample)),
                **{
                    f"probability_{one}": probabilities[:, index].tolist()
                    for index, one in enumerate(classes)
                },
            },
        },
    )
    _write(
        path / "model.json",
        {
            "format": 1,
            "name": name,
            "version": version,
            "digest": hashlib.sha256(onnx).hexdigest(),
            "created": "2026-01-01T00:00:00Z",
            "framework": "sklearn",
            "runtime": "onnx",
            "task": "classification",
            "classes": classes,
            "target": "species",
            "description": "Which iris it is.",
            "metrics": {},
            "size_bytes": len(onnx),
            "outputs": outputs,
            "lineage": {},
            "bento": None,
            "files": {"model.onnx": hashlib.sha256(onnx).hexdigest()},
        },
    )
    return BuiltModel(path, name, version, pipeline, frame)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, default=str))
