"""What every server is asked: one model, one row as JSON, and a thousand rows as an Arrow stream.

The model is a scaler and a forest of 100 trees over the 30 columns of scikit-learn's breast cancer data.
Its folder is laid out as packaging does, but made here, so that the benchmark starts in two seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.signature import Column, Output, Signature

ROWS = 1000


@dataclass(frozen=True)
class Case:
    """A Model's folder, the same model as scikit-learn's own file, one row, and many as a stream."""

    model: Path
    pipeline: Path
    row: dict[str, float]
    arrow: Path


def build(folder: Path, *, by_column: bool = False) -> Case:
    """Train and write the Model.

    Parameters
    ----------
    folder
        Where everything goes; made here.
    by_column
        One input tensor a column, as ``taxiway.package`` makes of a pipeline that was fitted on a frame,
        in place of one tensor for all.
    """
    import joblib
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    bunch = load_breast_cancer(as_frame=True)
    frame = bunch.data.set_axis([name.replace(" ", "_") for name in bunch.data.columns], axis="columns")
    names = list(frame.columns)
    forest = RandomForestClassifier(100, random_state=0)
    if by_column:
        pipeline = make_pipeline(ColumnTransformer([("scale", StandardScaler(), names)]), forest)
        types = [(name, FloatTensorType([None, 1])) for name in names]
        pipeline.fit(frame, bunch.target)
    else:
        pipeline = make_pipeline(StandardScaler(), forest)
        types = [("features", FloatTensorType([None, len(names)]))]
        pipeline.fit(frame.to_numpy(), bunch.target)
    folder.mkdir()
    onnx = to_onnx(pipeline, initial_types=types, options={"zipmap": False})
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    joblib.dump(pipeline, folder / "pipeline.joblib")
    _describe(folder, frame)
    return Case(folder, folder / "pipeline.joblib", frame.iloc[0].to_dict(), _stream(folder, frame))


def _describe(folder: Path, frame: Any) -> None:
    inputs = tuple(
        Column(name, "float64", minimum=float(frame[name].min()), maximum=float(frame[name].max()))
        for name in frame.columns
    )
    outputs = [
        {"name": "label", "tensor": "label", "index": None},
        {"name": "probability_0", "tensor": "probabilities", "index": 0},
        {"name": "probability_1", "tensor": "probabilities", "index": 1},
    ]
    dtypes = ("int64", "float64", "float64")
    given = tuple(Output(one["name"], dtype) for one, dtype in zip(outputs, dtypes, strict=True))
    contents: dict[str, Any] = {
        "model.json": {"name": "cancer", "version": "0" * 12, "outputs": outputs},
        "signature.json": Signature(inputs, given).to_dict(),
        "sample.json": {"records": [frame.iloc[0].to_dict()], "outputs": {}},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))


def _stream(folder: Path, frame: Any) -> Path:
    import pyarrow

    table = pyarrow.Table.from_pandas(
        frame.sample(ROWS, replace=True, random_state=0), preserve_index=False
    ).replace_schema_metadata()
    path = folder / "rows.arrow"
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return path
