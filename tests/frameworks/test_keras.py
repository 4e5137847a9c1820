"""Keras and TensorFlow models, from the object to the answer over HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from vega_datasets import local_data

from taxiway.errors import PackagingError
from taxiway.packaging.frameworks import Options, adapter_for
from taxiway.packaging.frameworks.arrays import frame_of
from taxiway.packaging.seeds import in_force
from taxiway.serving.engines import EngineError, open_engine

from .conftest import Ask, Package, assert_alike

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")


@pytest.fixture(scope="module")
def wine() -> tuple[Any, pd.DataFrame]:
    """A classifier of wines that ends with a softmax, and its inputs."""
    inputs, target = load_wine(return_X_y=True, as_frame=True)
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((13,)),
            keras.layers.Normalization(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.layers[0].adapt(inputs.to_numpy())
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(inputs.to_numpy(), target.to_numpy(), epochs=3, verbose=0)
    return model, inputs


def of_wine(model: Any, inputs: pd.DataFrame) -> dict[str, Any]:
    probabilities = model.predict(inputs.to_numpy(), verbose=0)
    names = np.array(["red", "rosé", "white"])
    answers: dict[str, Any] = {"label": names[probabilities.argmax(1)]}
    return answers | {f"probability_{name}": probabilities[:, index] for index, name in enumerate(names)}


@pytest.mark.parametrize("format", [None, "onnx"])
def test_a_classifier_answers_over_http_as_in_the_notebook(
    wine: tuple[Any, pd.DataFrame], package: Package, ask: Ask, format: Any
) -> None:
    model, inputs = wine
    more = {"task": "classification", "classes": ["red", "rosé", "white"], "format": format}
    packaged = package(model, inputs, **more)
    assert package(model, inputs, **more).version == packaged.version, "not the same bytes"
    assert (packaged.path / "model.onnx").exists() is (format == "onnx")
    assert not list(packaged.path.rglob("fingerprint.pb"))
    assert_alike(ask(packaged, inputs), of_wine(model, inputs))


def test_numbers_and_text_come_from_columns_of_their_own(package: Package, ask: Ask) -> None:
    days = local_data.seattle_weather().head(300)
    reference = pd.DataFrame({"wind": days["wind"], "weather": days["weather"], "temp min": days["temp_min"]})
    text = keras.Input((1,), name="weather", dtype="string")
    numbers = [keras.Input((1,), name=name) for name in ("temp min", "wind")]
    known = keras.layers.StringLookup(output_mode="one_hot")
    known.adapt(reference[["weather"]].to_numpy().tolist())
    keras.utils.set_random_seed(5)
    last = keras.layers.Dense(2)(keras.layers.Concatenate()([known(text), *numbers]))
    model = keras.Model({"weather": text, "temp min": numbers[0], "wind": numbers[1]}, last)
    given = ask(package(model, reference), reference)
    expected = model(
        {
            "weather": tf.constant(reference[["weather"]].to_numpy().astype(object)),
            "temp min": tf.constant(reference[["temp min"]].to_numpy("float32")),
            "wind": tf.constant(reference[["wind"]].to_numpy("float32")),
        }
    ).numpy()
    assert_alike(given, {"prediction_0": expected[:, 0], "prediction_1": expected[:, 1]})
    with pytest.raises(PackagingError, match="could not be converted to ONNX") as raised:
        package(model, reference, format="onnx")
    assert "SavedModel" in raised.value.hint


def test_images_and_one_logit(package: Package, ask: Ask) -> None:
    images = load_digits().images[:100, :, :, None]
    keras.utils.set_random_seed(5)
    layers = [keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    more: dict[str, Any] = {"task": "classification", "classes": [False, True], "format": "onnx"}
    packaged = package(model, frame_of(images), **more)
    given = ask(packaged, frame_of(images))
    probability = 1 / (1 + np.exp(-model.predict(images, verbose=0)[:, 0].astype(float)))
    expected = {"label": probability > 0.5, "probability_False": 1 - probability}
    assert_alike(given, expected | {"probability_True": probability})


class Slope(tf.Module):
    """A straight line."""

    def __init__(self, change: Callable[[Any], Any] = lambda x: x) -> None:
        super().__init__()
        self.weight = tf.Variable(np.linspace(-1, 1, 10).reshape(10, 1), dtype=tf.float32)
        self.change = change

    @tf.function(input_signature=[tf.TensorSpec((None, 10), tf.float32)])
    def __call__(self, x: Any) -> Any:
        return self.change(tf.matmul(x, self.weight))


@pytest.fixture(scope="module")
def diabetes() -> pd.DataFrame:
    frame, _ = load_diabetes(return_X_y=True, as_frame=True)
    return frame


def test_a_module_and_the_folder_of_its_savedmodel(
    diabetes: pd.DataFrame, tmp_path: Path, package: Package, ask: Ask
) -> None:
    model = Slope()
    expected = {"prediction": diabetes.to_numpy() @ np.linspace(-1, 1, 10)}
    assert package(model, diabetes).framework == "tensorflow"
    tf.saved_model.save(model, str(tmp_path / "saved"))
    packaged = package(tmp_path / "saved", diabetes, name="saved")
    assert_alike(ask(packaged, diabetes), expected)


def reads_a_file(x: Any) -> Any:
    return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def writes_a_file(x: Any) -> Any:
    tf.io.write_file("/tmp/never", "written")
    return x


def runs_python(x: Any) -> Any:
    return tf.py_function(lambda value: value, [x], tf.float32)


def runs_numpy(x: Any) -> Any:
    return tf.numpy_function(lambda value: value, [x], tf.float32, stateful=False)


def restores(x: Any) -> Any:
    given = {"prefix": "/tmp/never", "tensor_names": ["a"], "shape_and_slices": [""]}
    return x + tf.raw_ops.RestoreV2(**given, dtypes=[tf.float32])[0]


def lists_files(x: Any) -> Any:
    return x + tf.cast(tf.size(tf.io.matching_files("/etc/*")), tf.float32)


def prints_to_a_file(x: Any) -> Any:
    tf.print(x, output_stream="file:///tmp/never")
    return x


@pytest.mark.parametrize(
    ("change", "operation"),
    [
        (reads_a_file, "ReadFile"),
        (writes_a_file, "WriteFile"),
        (runs_python, "EagerPyFunc"),
        (runs_numpy, "PyFuncStateless"),
        (restores, "RestoreV2"),
        (lists_files, "MatchingFiles"),
        (prints_to_a_file, "PrintV2"),
    ],
)
def test_what_reaches_beyond_the_model_is_refused_by_name(
    diabetes: pd.DataFrame, tmp_path: Path, change: Any, operation: str
) -> None:
    model = Slope(change)
    adapter = adapter_for(Slope())
    adapter.answers(diabetes)
    adapter._network = adapter_for(model)._network  # type: ignore[attr-defined]
    with pytest.raises(PackagingError, match=operation):
        adapter.export(_columns(diabetes), diabetes, "float32", tmp_path)
    folder = tmp_path / "other"
    tf.saved_model.save(model, str(folder / "saved_model"), signatures={"serving_default": model.__call__})
    shutil.rmtree(folder / "saved_model" / "assets")
    with pytest.raises(EngineError, match=operation):
        open_engine(folder, "savedmodel")
    with pytest.raises(PackagingError, match=operation):
        adapter_for(folder / "saved_model")


def test_a_constant_that_is_any_file_is_refused_on_load(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    model = Slope()
    path = tmp_path / "saved_model"
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.__call__})
    shutil.rmtree(path / "assets")
    graph = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    node = graph.meta_graphs[0].graph_def.node.add(name="secret", op="ImmutableConst")
    node.attr["memory_region_name"].s = b"/etc/hostname"
    (path / "saved_model.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(EngineError, match="ImmutableConst"):
        open_engine(tmp_path, "savedmodel")


def test_no_operation_that_is_allowed_names_a_file_or_an_address() -> None:
    """TensorFlow's own list of operations: a release that adds one that reads files fails here."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session as session

    from taxiway.serving.engines import savedmodel

    words = {"file", "filename", "path", "region", "url", "library", "address"}
    words |= {f"{word}s" for word in words}
    known = op_def_pb2.OpList.FromString(session.TF_GetBuffer(session.TF_GetAllOpList())).op
    assert len(known) > 1000
    found = {
        f"{one.name}.{given.name}"
        for one in known
        if savedmodel._allowed(one.name, {}, of_saver=False)
        for given in (*one.attr, *one.input_arg)
        if words & set(given.name.lower().split("_"))
    }
    assert found == {"CTCBeamSearchDecoder.top_paths"}  # a number of paths through letters
    others = ("Abort", "Copy", "CopyHost", "DebugIdentity", "TPUPartitionedCall", "XlaLaunchV2")
    assert not [name for name in others if savedmodel._allowed(name, {}, of_saver=False)]


def test_a_graph_beside_the_graph_that_was_read_is_refused(tmp_path: Path) -> None:
    model = Slope()
    path = tmp_path / "saved_model"
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.__call__})
    shutil.rmtree(path / "assets")
    assert open_engine(tmp_path, "savedmodel", device="auto").inputs
    (path / "saved_model.cpb").write_bytes((path / "saved_model.pb").read_bytes())
    with pytest.raises(EngineError, match=r"saved_model\.cpb"):
        open_engine(tmp_path, "savedmodel")


def test_a_gpu_that_tensorflow_does_not_find_is_not_replaced_by_the_cpu(tmp_path: Path) -> None:
    model = Slope()
    path = tmp_path / "saved_model"
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.__call__})
    shutil.rmtree(path / "assets")
    with pytest.raises(EngineError, match="TensorFlow here finds 0 GPUs, none of them cuda:1"):
        open_engine(tmp_path, "savedmodel", device="cuda:1")
    with pytest.raises(EngineError, match="no TensorRT here: name --device cuda"):
        open_engine(tmp_path, "savedmodel", device="tensorrt")


def test_the_saver_may_not_be_called_by_what_serves(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    model = Slope()
    path = tmp_path / "saved_model"
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.__call__})
    shutil.rmtree(path / "assets")
    graph = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    [meta] = graph.meta_graphs
    functions = {one.signature.name: one for one in meta.graph_def.library.function}
    [restore] = [name for name in functions if "restore" in name]
    [wrapper] = [functions[name] for name in functions if "signature_wrapper" in name]
    [call] = [node for node in wrapper.node_def if "f" in node.attr]
    call.attr["f"].func.name = restore
    (path / "saved_model.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(EngineError, match="RestoreV2"):
        open_engine(tmp_path, "savedmodel")


def test_looking_at_the_seed_changes_no_later_random_number() -> None:
    adapter = adapter_for(Slope())
    tf.random.set_seed(1)
    expected = tf.random.uniform((3,)).numpy()
    tf.random.set_seed(1)
    assert adapter.seeds() == {"tensorflow": 1}
    assert in_force(adapter.seeds())["tensorflow"] == 1
    np.testing.assert_array_equal(tf.random.uniform((3,)).numpy(), expected)


def test_what_cannot_be_packaged_is_said_in_a_sentence(
    wine: tuple[Any, pd.DataFrame], diabetes: pd.DataFrame, package: Package
) -> None:
    model, inputs = wine
    for given, more, words in (
        (keras.Sequential([keras.layers.Dense(1)]), {}, "not fitted yet"),
        (model, {}, "look like the probabilities of classes"),
        (model, {"task": "classification", "classes": ["a", "b"]}, "3 outputs, but there are 2"),
        (model, {"format": "skops"}, "no skops files"),
        (tf.Variable(1.0), {}, "cannot be packaged"),
    ):
        with pytest.raises(PackagingError, match=words) as raised:
            adapter_for(given, Options(**_tuples(more))).answers(inputs)
        assert raised.value.hint
    with pytest.raises(PackagingError):
        package(model, diabetes)
    with pytest.raises(PackagingError, match="takes float32"):
        package(model, inputs.assign(hue="red"))


def test_probabilities_of_one_column_are_taken_as_they_are() -> None:
    inputs, _ = load_breast_cancer(return_X_y=True, as_frame=True)
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(1, activation="sigmoid")])
    answers = adapter_for(model, Options(classes=("bad", "good"))).answers(inputs)
    expected = model.predict(inputs.to_numpy(), verbose=0)[:, 0]
    np.testing.assert_allclose(answers["probability_good"], expected, atol=1e-5)


def _columns(frame: pd.DataFrame) -> tuple[Any, ...]:
    from taxiway.packaging.inference import columns_of

    return columns_of(frame)


def _tuples(more: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in more.items()}
