"""What TF Serving's routes tell of a model is TensorFlow's own protocol buffer in JSON."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from taxiway.serving.protocols import Served, tfserving
from taxiway.signature import Column, Dtype, Output, Signature

tf = pytest.importorskip("tensorflow")


def test_the_metadata_is_a_signature_def_of_the_columns() -> None:
    from google.protobuf import json_format
    from tensorflow.core.protobuf import meta_graph_pb2

    columns = tuple(Column(dtype, dtype) for dtype in get_args(Dtype))
    signature = Signature(columns, (Output("score", "float64"),))
    body = json.loads(tfserving.metadata(Served("m", "1", "live", signature, 10)).body or b"")
    (told,) = body["metadata"]["signature_def"]["signature_def"].values()
    # Raises where there is a field, a dtype or a shape that the schema has not.
    read = json_format.ParseDict(told, meta_graph_pb2.SignatureDef())
    assert {name: tf.as_dtype(one.dtype).name for name, one in read.inputs.items()} == {
        dtype: dtype for dtype in get_args(Dtype)
    }
    assert {str(tf.TensorShape(one.tensor_shape)) for one in read.inputs.values()} == {"(None,)"}
    assert tf.as_dtype(read.outputs["score"].dtype) == tf.float64
