"""PyTorch modules, from the object to the answer over HTTP."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from vega_datasets import local_data

import taxiway
from taxiway.backends import ModelRef
from taxiway.errors import CorruptionError, PackagingError
from taxiway.packaging import bento
from taxiway.packaging.digest import of_bytes
from taxiway.packaging.frameworks import Options, adapter_for
from taxiway.packaging.frameworks.arrays import frame_of, shape_of
from taxiway.serving.runtime import ModelError, Runtime
from taxiway_backends.sagemaker.storage import pack

from .conftest import Ask, Package, assert_alike

torch = pytest.importorskip("torch")
nn = torch.nn
load_file = pytest.importorskip("safetensors.torch").load_file


def trained(model: Any, loss: Any, target: Any, *inputs: Any, steps: int = 30) -> Any:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(*inputs), target).backward()
        optimizer.step()
    return model


def asked(model: Any, *inputs: Any) -> np.ndarray[Any, Any]:
    model.eval()
    with torch.no_grad():
        return model(*inputs).numpy()


class Digits(nn.Module):
    """A small convolution with batch normalisation and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(144, 10),
        )

    def forward(self, images: Any) -> Any:
        return self.body(images)


def test_images_are_served_by_named_pixels_with_labels_and_probabilities(package: Package, ask: Ask) -> None:
    torch.manual_seed(7)
    images = torch.tensor(load_digits().images[:400, None], dtype=torch.float32)
    target = torch.tensor(load_digits().target[:400])
    model = trained(Digits(), nn.functional.cross_entropy, target, images)
    assert model.training
    reference = frame_of(images)
    packaged = package(model, images, task="classification", classes=list("0123456789"))
    assert model.training, "packaging left the module in another mode"
    given = ask(packaged, reference.head(60))
    expected = torch.softmax(torch.tensor(asked(model, images[:60])), 1).numpy()
    answers: dict[str, Any] = {"label": [str(one) for one in expected.argmax(1)]}
    answers |= {f"probability_{one}": expected[:, one] for one in range(10)}
    assert_alike(given, answers)
    assert packaged.signature.names[29] == "x_0_3_5"
    # PyTorch reads its weights, whatever else is in them; a BatchNorm has become part of the convolution
    weights = load_file(packaged.path / "weights.safetensors")
    assert weights.keys() == {"body.0.weight", "body.0.bias", "body.5.weight", "body.5.bias"}
    for name in ("body.5.weight", "body.5.bias"):
        torch.testing.assert_close(weights[name], model.state_dict()[name], rtol=0, atol=0)


def test_the_weights_go_wherever_the_model_goes(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into the version, the Bento, SageMaker's tarball and another store; nothing is served without them."""
    inputs, _ = load_diabetes(return_X_y=True, as_frame=True)
    packaged = package(nn.Linear(10, 2), inputs)
    name, manifest = "weights.safetensors", packaged.manifest
    digest = manifest.files[name]
    assert replace(manifest, files={**manifest.files, name: "0" * 64}).identity() != manifest.digest
    assert name in packaged.checks["format_safe"].reason
    assert bento.sound(packaged.tag, {name: digest})
    tarball = tmp_path / "model.tar.gz"
    pack(tarball, {"live": ModelRef(packaged.name, packaged.version, packaged.path)})
    with tarfile.open(tarball) as tar:
        content = tar.extractfile(f"live/{name}")
        assert content is not None
        assert of_bytes(content.read()) == digest
    exported = packaged.export(tmp_path / "model.taxiway")
    expected = packaged.predict(inputs)
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "elsewhere"))
    imported = taxiway.import_model(exported).model
    pd.testing.assert_frame_equal(imported.predict(inputs), expected)
    (imported.path / name).write_bytes((imported.path / name).read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptionError, match=rf"{name} differs"):
        taxiway.load(imported.tag)
    with pytest.raises(ModelError, match=rf"{name} .* is not what it was"):
        Runtime(imported.path)


def test_one_argument_per_column_and_packaging_twice_gives_one_version(package: Package, ask: Ask) -> None:
    class Warmth(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.month = nn.Embedding(13, 3)
            self.last = nn.Linear(5, 1)

        def forward(self, month: Any, wind: Any, temp_min: Any) -> Any:
            return self.last(torch.cat([self.month(month.squeeze(1)), wind, temp_min], 1)).squeeze(1)

    days = local_data.seattle_weather().head(366)
    reference = pd.DataFrame(
        {"temp_min": days["temp_min"], "month": days["date"].dt.month.astype("int64"), "wind": days["wind"]}
    )
    columns = [
        torch.tensor(reference[["month"]].to_numpy()),
        torch.tensor(reference[["wind"]].to_numpy(), dtype=torch.float32),
        torch.tensor(reference[["temp_min"]].to_numpy(), dtype=torch.float32),
    ]
    torch.manual_seed(1)
    target = torch.tensor(days["temp_max"].to_numpy(), dtype=torch.float32)
    model = trained(Warmth(), nn.functional.mse_loss, target, *columns)
    packaged = package(model, reference)
    assert package(model, reference).version == packaged.version
    assert_alike(ask(packaged, reference), {"prediction": asked(model, *columns)})


def test_one_logit_is_told_from_one_probability(package: Package) -> None:
    inputs, target = load_breast_cancer(return_X_y=True, as_frame=True)
    inputs = inputs[["mean radius", "mean texture"]]
    tensor = torch.tensor(inputs.to_numpy(), dtype=torch.float32)
    wanted = torch.tensor(target.to_numpy(), dtype=torch.float32)[:, None]
    torch.manual_seed(3)
    logits = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    trained(logits, nn.functional.binary_cross_entropy_with_logits, wanted, tensor)
    classes = ["malignant", "benign"]
    options = Options(task="classification", classes=tuple(classes))
    ended = nn.Sequential(logits, nn.Sigmoid())
    expected = asked(ended, tensor)[:, 0]
    for model in (logits, ended):
        answers = adapter_for(model, options).answers(inputs)
        np.testing.assert_allclose(answers["probability_benign"], expected, atol=1e-6)
    with torch.no_grad():
        logits[1].weight.mul_(1e-3)
        logits[1].bias.fill_(0.5)  # every logit lies between 0 and 1
    given = adapter_for(logits, options).answers(inputs)
    np.testing.assert_allclose(given["probability_benign"], asked(ended, tensor)[:, 0], atol=1e-6)
    packaged = package(ended, inputs, task="classification", classes=classes)
    assert packaged.classes == ("malignant", "benign")


def test_double_precision_is_tried_when_float32_loses_too_much(package: Package, ask: Ask) -> None:
    inputs, _ = load_diabetes(return_X_y=True, as_frame=True)

    class Sensitive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.full((10, 1), 1e8, dtype=torch.float64))

        def forward(self, x: Any) -> Any:
            return torch.sin(x @ self.weight)

    packaged = package(Sensitive(), inputs)
    assert packaged.parity.precision == "float64"
    given = ask(packaged, inputs.head(20))
    expected = np.sin(inputs.head(20).to_numpy() @ np.full((10, 1), 1e8))[:, 0]
    np.testing.assert_allclose(given["prediction"], expected, atol=1e-5)


def test_nothing_of_the_source_or_the_machine_is_in_the_file(package: Package) -> None:
    inputs, _ = load_diabetes(return_X_y=True, as_frame=True)
    packaged = package(nn.Linear(10, 2), inputs)
    content = (packaged.path / "model.onnx").read_bytes()
    for told in (b"/", b"forward", b"test_torch", b".py"):
        assert told not in content.replace(b"taxiway/", b"").replace(b"node/", b"").replace(b"head/", b""), (
            told
        )
    assert list(packaged.path.glob("*.data")) == []


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (nn.LazyLinear(1), Options(), "not fitted yet"),
        (nn.Linear(2, 1, device="meta"), Options(), "meta device"),
        (nn.Linear(2, 3), Options(task="classification"), "at least two classes"),
        (nn.Linear(2, 3), Options(task="classification", classes=("a", "b")), "3 outputs, but there are 2"),
        (nn.Sequential(nn.Linear(2, 3), nn.Softmax(1)), Options(), "look like the probabilities"),
        (nn.LSTM(2, 3), Options(), "gives a tuple"),
        (torch.zeros(3), Options(), "cannot be packaged"),
        (torch.jit.ScriptModule(), Options(), "cannot be packaged"),
    ],
)
def test_what_cannot_be_packaged_is_said_in_a_sentence(model: Any, options: Options, words: str) -> None:
    inputs, _ = load_diabetes(return_X_y=True, as_frame=True)
    with pytest.raises(PackagingError, match=words) as raised:
        adapter_for(model, options).answers(inputs.iloc[:, :2])
    assert raised.value.hint


def test_weights_on_an_absent_gpu_are_refused() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    model = nn.Linear(2, 1)
    with FakeTensorMode():
        model.weight = nn.Parameter(torch.empty((1, 2), device="cuda"))
    with pytest.raises(PackagingError, match="on a GPU, and there is none here"):
        adapter_for(model)


def test_a_module_that_branches_on_values_says_what_to_do(package: Package) -> None:
    class Branching(nn.Module):
        def forward(self, x: Any) -> Any:
            return x[:, 0] if x.sum() > 0 else x[:, 1]

    inputs, _ = load_diabetes(return_X_y=True, as_frame=True)
    with pytest.raises(PackagingError, match="Branching could not be exported") as raised:
        package(Branching(), inputs)
    assert "branches" in raised.value.hint


def test_a_module_of_text_or_of_another_width_is_refused(package: Package) -> None:
    inputs, _ = load_diabetes(return_X_y=True, as_frame=True)
    with pytest.raises(PackagingError, match="takes numbers"):
        package(nn.Linear(11, 1), inputs.assign(text="a"))
    with pytest.raises(PackagingError, match="cannot predict the reference"):
        package(nn.Linear(3, 1), inputs)


def test_frames_of_arrays_tell_their_shape() -> None:
    images = load_digits().images[:3]
    frame = frame_of(images)
    assert shape_of(list(frame.columns)) == (8, 8)
    np.testing.assert_array_equal(frame["x_3_5"], images[:, 3, 5])
    assert shape_of(list(frame.columns[:-1])) is None
    assert shape_of(["a", "x_0_0"]) is None
    with pytest.raises(PackagingError.__base__, match="no columns that could be named"):
        frame_of(images[0])


def test_another_format_than_onnx_is_refused() -> None:
    with pytest.raises(PackagingError, match="not as savedmodel"):
        adapter_for(torch.nn.Linear(2, 1), Options(format="savedmodel"))
