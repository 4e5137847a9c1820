"""Each preflight check finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

from taxiway.packaging import checks, data_checks, preflight
from taxiway.packaging.environment import Environment
from taxiway.packaging.frameworks import adapter_for

from .conftest import NUMERIC, Packaged, Weather

PLACE = {
    "python": "3.11.9",
    "platform": "Linux",
    "machine": "x86_64",
    "cpus": 2,
    "memory_bytes": 1,
    "gpus": (),
    "needed": {"numpy": "2.4.6"},
    "imported": {},
}


def test_a_good_model_passes_every_check_in_order(packaged_home: Packaged) -> None:
    report = packaged_home.model.checks
    assert [check.name for check in report] == [name for name in preflight.LEVELS if name in report.names]
    assert {check.name for check in report if check.result != "passed"} <= {"clean_replay", "slices_declared"}
    assert report.ok
    assert all(check.reason for check in report)


def graph(folder: Path, domain: str) -> Path:
    node = helper.make_node("Identity" if not domain else "Own", ["x"], ["y"], domain=domain)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "xy")
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    proto = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=opsets, ir_version=9)
    onnx.save(proto, folder / "model.onnx")
    return folder


def test_a_file_with_operators_of_its_own_is_not_safe(tmp_path: Path) -> None:
    assert checks.format_safe(graph(tmp_path, ""), "onnx", {}).result == "passed"
    found = checks.format_safe(graph(tmp_path, "my.own"), "onnx", {})
    assert found.result == "failed"
    assert found.remedy


def test_a_file_that_refers_to_another_is_not_safe(tmp_path: Path) -> None:
    proto = onnx.load(graph(tmp_path, "") / "model.onnx")
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    proto.graph.initializer.append(tensor)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    assert checks.format_safe(tmp_path, "onnx", {}).result == "failed"


def test_a_column_that_tells_the_target_is_found(weather: Weather) -> None:
    same = weather.inputs.assign(wet=weather.rain.map({True: "yes", False: "no"}))
    for frame, target, result in (
        (weather.inputs, weather.rain, "passed"),
        (same, weather.rain, "failed"),
        (weather.inputs, weather.inputs["temp_max"] * 1.8 + 32, "failed"),
        (weather.inputs, weather.inputs["temp_max"] + weather.inputs["wind"], "passed"),
    ):
        assert data_checks.target_leakage(frame, target.rename("target")).result == result
    assert data_checks.target_leakage(same, None).result == "skipped"


def test_rare_classes_and_small_references_are_warned_of() -> None:
    rare = pd.Series([0] * 99 + [1])
    assert data_checks.class_balance("classification", rare).result == "failed"
    assert "1.0%" in data_checks.class_balance("classification", rare).reason
    assert data_checks.class_balance("regression", rare).result == "skipped"
    assert data_checks.reference_size(99).result == "failed"
    assert data_checks.reference_size(100).result == "passed"


def test_loose_code_and_loose_seeds_are_named() -> None:
    loose = Environment(**PLACE, local=("my_features",))  # type: ignore[arg-type]
    assert "my_features" in checks.environment_locked(loose).reason
    assert checks.environment_locked(Environment(**PLACE)).result == "passed"  # type: ignore[arg-type]
    assert "forest.random_state" in checks.seeds_recorded({"forest.random_state": None}).reason
    assert checks.seeds_recorded({"forest.random_state": 0}).result == "passed"


def test_only_a_failed_check_is_waived_and_a_warning_blocks_nothing() -> None:
    report = preflight.gather(
        [
            preflight.failed("reference_size", "few", "more"),
            preflight.passed("format_safe", "good"),
            preflight.failed("parity", "off", "mend"),
        ],
        ["parity", "format_safe"],
    )
    assert [(check.name, check.result) for check in report] == [
        ("format_safe", "passed"),
        ("parity", "waived"),
        ("reference_size", "failed"),
    ]
    assert report.ok
    assert not preflight.gather([preflight.failed("parity", "off", "mend")], []).ok


@pytest.mark.filterwarnings("error")
def test_a_numpy_label_with_missing_text_is_compared(weather: Weather) -> None:
    from taxiway.packaging.parity import compare

    model = LogisticRegression(max_iter=1000).fit(weather.inputs[NUMERIC], weather.rain)
    frame = weather.inputs[NUMERIC]
    answers = adapter_for(model).answers(frame)
    other = {name: values.copy() for name, values in answers.items()}
    other["label"][3] = not other["label"][3]
    other["probability_True"][7] = np.nan
    report = compare(answers, other, frame, "float32")
    assert (report.differing, report.passed) == (2, False)
    assert report.worst.index == str(frame.index[3])
    assert report.to_dict()["outputs"][2]["largest"] is None
