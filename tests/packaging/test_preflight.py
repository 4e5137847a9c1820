"""Each preflight check finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from vega_datasets import local_data

from taxiway.errors import InputError
from taxiway.packaging import checks, data_checks, preflight, registry, replay
from taxiway.packaging.frameworks import Export, adapter_for
from taxiway.packaging.model import Model
from taxiway.packaging.session import Session

from .conftest import NUMERIC, Packaged, Weather


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


@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
def test_a_file_that_refers_to_another_is_not_safe(tmp_path: Path, where: str) -> None:
    proto = onnx.load(graph(tmp_path, "") / "model.onnx")
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    if where == "initializer":
        proto.graph.initializer.append(tensor)
    else:
        constant = helper.make_node("Constant", [], ["w"], value=tensor)
        inner = helper.make_graph([constant], "inner", [], [helper.make_empty_tensor_value_info("w")])
        branches = helper.make_node("If", ["x"], ["w"], then_branch=inner, else_branch=inner)
        proto.graph.node.append(constant if where == "constant" else branches)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    assert checks.format_safe(tmp_path, "onnx", {}).result == "failed"


def test_a_column_that_tells_the_target_is_found(weather: Weather) -> None:
    same = weather.inputs.assign(wet=weather.rain.map({True: "yes", False: "no"}))
    gaps = same.assign(wet=same["wet"].where(same.index % 50 != 0))
    for frame, target, result in (
        (weather.inputs, weather.rain, "passed"),
        (same, weather.rain, "failed"),
        (gaps, weather.rain, "failed"),
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


def test_loose_code_and_loose_seeds_are_named(packaged_home: Packaged) -> None:
    locked = packaged_home.model.environment
    assert checks.environment_locked(locked).result == "passed"
    cells = replace(locked, loose={"my_features": "it has no file"})
    loose = checks.environment_locked(cells, "skops")
    assert (loose.level, loose.result) == ("blocking", "failed")
    graph_alone = checks.environment_locked(cells, "onnx")
    assert (graph_alone.level, graph_alone.result) == ("warning", "failed"), "a graph is served without it"
    assert "my_features: it has no file" in loose.reason
    assert "forest.random_state" in checks.seeds_recorded({"forest.random_state": None}).reason
    assert checks.seeds_recorded({"forest.random_state": None}).result == "failed"
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


@pytest.mark.parametrize(
    ("name", "made", "reason"),
    [
        (
            "station",
            lambda rows: [f"US1WA{row:05d}" for row in range(rows)],
            "'station' differs in every row",
        ),
        ("number", lambda rows: range(rows), "'number' counts the rows"),
        ("order", lambda rows: range(rows, 0, -1), "'order' counts the rows"),
        ("reading", lambda rows: [row * 7919 % 100_003 for row in range(rows)], "'reading' differs"),
        ("customer_id", lambda rows: [row % 5 for row in range(rows)], "'customer_id' is named"),
        ("customerId", lambda rows: [row % 5 for row in range(rows)], "'customerId' is named"),
        ("UUID", lambda rows: ["a", "b"] * (rows // 2), "'UUID' is named"),
    ],
)
def test_a_column_that_tells_rows_apart_is_named(
    weather: Weather, name: str, made: Callable[[int], Any], reason: str
) -> None:
    found = data_checks.identifier_columns(weather.inputs.assign(**{name: list(made(len(weather.inputs)))}))
    assert (found.level, found.result) == ("warning", "failed")
    assert reason in found.reason
    assert found.remedy


def test_what_is_measured_or_read_is_no_identifier(weather: Weather) -> None:
    rows = len(weather.inputs)
    harmless = weather.inputs.assign(
        distinct=np.arange(rows) / 7.0,
        humid=weather.inputs["month"],
        paid=weather.inputs["weekend"],
        said=[f"it was day {row} of the year" for row in range(rows)],
    )
    assert data_checks.identifier_columns(harmless).result == "passed"
    assert data_checks.identifier_columns(load_iris(as_frame=True).data).result == "passed"


def test_slices_are_columns_with_rows_enough_for_each_value(weather: Weather) -> None:
    def slices(*names: str, frame: pd.DataFrame = weather.inputs) -> preflight.Check:
        return data_checks.slices_declared(names, frame)

    assert (slices().level, slices().result) == ("note", "skipped")
    assert "slices=" in slices().remedy
    assert slices("season", "weekend", "month", "temp_max").result == "passed"
    assert "'region'" in slices("region").reason
    assert "season" in slices("region").remedy
    kinds = local_data.seattle_weather().query("date.dt.year == 2012")["weather"].to_numpy()
    assert "snow (" not in slices("kind", frame=weather.inputs.assign(kind=kinds)).reason
    assert "fog (5 rows)" in slices("kind", frame=weather.inputs.assign(kind=kinds)).reason
    assert "fewer than" in slices("temp_max", frame=weather.inputs.head(40)).reason
    every = weather.inputs.assign(day=[f"day {row % 31}" for row in range(len(weather.inputs))])
    assert "31 values" in slices("day", frame=every).reason


def test_latency_is_held_to_its_budget(packaged_home: Packaged, weather: Weather) -> None:
    model = packaged_home.model
    session = Session(Export(model.path, model.manifest.runtime, model.outputs, (), "float32"))
    quick = checks.latency(session, weather.inputs, 100.0)
    assert quick.result == "passed"
    assert "100 rows" in quick.reason
    slow = checks.latency(session, weather.inputs, 1e-6)
    assert (slow.level, slow.result) == ("warning", "failed")
    assert "the budget is 1e-06 ms" in slow.reason
    rare = checks.latency_budget([0.001] * 97 + [0.2] * 3, [0.001], 100.0, "here")
    assert rare.result == "failed", "the 99th percentile counts, not the median"


def test_size_and_memory_are_those_of_what_is_served(packaged_home: Packaged) -> None:
    model = packaged_home.model
    assert checks.size_of(model) == (model.path / "model.onnx").stat().st_size
    assert checks.size_and_memory(checks.size_of(model), 80_000_000).result == "passed"
    assert "80.0 MB of memory" in checks.size_and_memory(1, 80_000_000).reason
    assert checks.size_and_memory(checks.LARGEST_FILES + 1).result == "failed"
    assert checks.size_and_memory(1, checks.LARGEST_MEMORY + 1).result == "failed"


def test_a_signature_without_outputs_and_answers_that_differ_are_no_small_matter(
    packaged_home: Packaged,
) -> None:
    model = packaged_home.model
    assert checks.signature_complete(model.signature).result == "passed"
    assert checks.signature_complete(replace(model.signature, outputs=())).result == "failed"
    assert checks.parity(model.parity).result == "passed"
    assert checks.parity(replace(model.parity, passed=False)).result == "failed"


def test_another_place_is_told_by_name(packaged_home: Packaged) -> None:
    model = packaged_home.model
    assert checks.environment_here(model.check_environment()).result == "passed"
    older = replace(model.environment, python="3.9.1")
    found = checks.environment_here(older.compare(model.environment))
    assert (found.level, found.result) == ("note", "failed")
    assert "python: 3.9.1" in found.reason


@pytest.fixture
def recorded(packaged_home: Packaged) -> Iterator[tuple[Model, Path]]:
    """The Model, and where its record lies, which is as it was before."""
    path = registry.preflight_of(packaged_home.model.name, packaged_home.model.version)
    before = path.read_bytes() if path.exists() else None
    yield packaged_home.model, path
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)


def replayed(model: Model, *made: preflight.Check, waive: Sequence[str] = ()) -> preflight.Preflight:
    """Run the preflight with these checks in the place of what takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "replay", lambda *_: iter(made))
        return preflight.run(model, lambda what: None, waive=waive)


def test_the_last_run_counts_and_what_it_did_not_make_stays(recorded: tuple[Model, Path]) -> None:
    model, path = recorded
    replayed(model, preflight.failed("clean_replay", "It did not start.", "Mend it."))
    assert not model.checks.ok
    assert model.checks["parity"].result == "passed"
    assert "in the engine" in model.checks["latency_budget"].reason
    report = replayed(model, preflight.passed("clean_replay", "Alike."))
    assert report.ok
    assert model.checks["clean_replay"].reason == "Alike."
    assert list(report.names) == [name for name in preflight.LEVELS if name in report.names]
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    model.manifest.verify(model.path)


def test_a_damaged_record_is_as_none(recorded: tuple[Model, Path]) -> None:
    model, path = recorded
    replayed(model, preflight.failed("clean_replay", "It did not start.", "Mend it."))
    whole = path.read_text()
    for damaged in (
        whole.replace('"failed"', '"passed"'),
        whole[: len(whole) // 2],
        "",
        "[]",
        "{}",
        whole.replace(model.digest, "0" * 64),
    ):
        path.write_text(damaged)
        assert preflight.record(model) is None
        assert model.checks["clean_replay"].result == "skipped"


def test_what_was_waived_stays_waived(recorded: tuple[Model, Path]) -> None:
    model, _ = recorded
    lost = preflight.failed("clean_replay", "It did not start.", "Mend it.")
    assert replayed(model, lost, waive=["clean_replay"]).ok
    assert replayed(model, lost)["clean_replay"].result == "waived"
    with pytest.raises(InputError, match="no check named"):
        replayed(model, lost, waive=["clean"])


def test_a_preflight_prints_as_a_table(packaged_home: Packaged) -> None:
    report = packaged_home.model.checks
    assert len(str(report).splitlines()) == len(report)
    assert "format_safe" in str(report)
    page = report._repr_html_()
    assert page.count("<tr>") == len(report) + 1
    assert "What to do" in page


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
