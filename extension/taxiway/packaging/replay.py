"""Clean replay: the Bento, in a fresh environment and process, answers as the notebook's object did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from taxiway.errors import PackagingError
from taxiway.packaging import checks, environments
from taxiway.packaging.latency import LATENCY_MS, MANY_ROWS, times
from taxiway.packaging.model import REQUIREMENTS, Model
from taxiway.packaging.preflight import Check, failed, passed
from taxiway.packaging.rehearsal import Rehearsal, rehearse
from taxiway.serving.agreement import agree

_MOST_SECONDS = 0.5

Rows = Sequence[Mapping[str, Any]]


def replay(model: Model, bento: Path, tell: Callable[[str], None]) -> Iterator[Check]:
    """Replay the sample, and give the checks that the serving process allows: answers, latency and memory.

    Parameters
    ----------
    model
        The Model; what its notebook's object answered is in its sample.
    bento
        The Bento's folder, whose ``src`` is what runs.
    tell
        Told a line per stage.
    """
    pins = (model.path / REQUIREMENTS).read_text(encoding="utf-8").split()
    try:
        with environments.environment(pins, model.environment.python, tell) as environment:
            tell("starting the Bento in a process of its own")
            with rehearse(
                environments.python_of(environment), bento / "src", _files(model, bento)
            ) as process:
                tell("asking it what the notebook's object was asked")
                yield _compared(model, process, len(pins))
                tell("timing it")
                yield _timed(model, process)
                yield checks.size_and_memory(checks.size_of(model), process.memory())
    except PackagingError as error:
        yield failed("clean_replay", error.message, error.hint)


def _files(model: Model, bento: Path) -> Path:
    """Give the Model's files as the Bento has them: BentoML's own copy."""
    return bento.parents[2] / "models" / model.name / model.version


def _compared(model: Model, process: Rehearsal, pins: int) -> Check:
    sample = model.sample()
    waived = model.parity.waived
    # of a model whose export is known to differ, the export's own answers are expected
    expected = sample["outputs"] if waived else sample.get("original", sample["outputs"])
    given = process.predict(sample["records"])
    mismatched = _mismatched(len(sample["records"]), expected, given, model.parity.tolerances)
    if mismatched is not None:
        return failed("clean_replay", mismatched, "Package the model again; if it stays so, report it.")
    found = list(differences(expected, given, model.parity.tolerances))
    if found:
        row, output, one, other = found[0]
        rows = len({row for row, *_ in found})
        return failed(
            "clean_replay",
            f"In a fresh environment {rows} of {len(given)} rows are answered otherwise: "
            f"row {row}, output {output!r}, expected {one!r}, got {other!r}.",
            "Compare the versions in requirements.txt with those that the model was made with.",
        )
    return passed(
        "clean_replay",
        f"{len(given)} rows answered alike in a fresh environment of {pins} pinned packages; "
        f"it was ready in {process.seconds:.1f} s.",
    )


def _mismatched(
    rows: int, expected: Mapping[str, Sequence[Any]], given: Rows, tolerances: Iterable[str]
) -> str | None:
    """Say why the answers cannot be compared one by one; None if they can be."""
    if not rows or not expected:
        return "The Model's sample has nothing to compare."
    if len(given) != rows:
        return f"In a fresh environment {rows} rows are asked, and {len(given)} are answered."
    for output, values in expected.items():
        if len(values) != rows:
            return f"The Model's sample has {rows} rows, but {len(values)} answers of output {output!r}."
    judged = frozenset(tolerances)
    unjudged = [output for output in expected if output not in judged]
    if unjudged:
        return f"The parity report has no tolerance for {', '.join(map(repr, unjudged))}."
    return None


def differences(
    expected: Mapping[str, Sequence[Any]], given: Rows, tolerances: Mapping[str, tuple[float, float]]
) -> Iterator[tuple[int, str, Any, Any]]:
    """Give row, output, expected and given of each answer beyond parity's tolerance."""
    for row, answer in enumerate(given):
        for output, values in expected.items():
            one, other = values[row], answer.get(output)
            if not agree(one, other, *tolerances[output]):
                yield row, output, one, other


def _timed(model: Model, process: Rehearsal) -> Check:
    records = model.sample()["records"]
    one = times([partial(process.predict, [record]) for record in records], _MOST_SECONDS)
    many = times([partial(process.predict, list(islice(cycle(records), MANY_ROWS)))], _MOST_SECONDS)
    budget = model.manifest.latency_ms or LATENCY_MS
    return checks.latency_budget(one, many, budget, "over HTTP in the Bento's own process")
