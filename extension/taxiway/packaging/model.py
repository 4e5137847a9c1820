"""A Model: ``name:version``, immutable and content-addressed, with all that was proven of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.errors import CorruptionError, InputError
from taxiway.packaging import preflight
from taxiway.packaging import progress as progresses
from taxiway.packaging.manifest import Lineage, Manifest, OutputColumn, Scalar, Task
from taxiway.packaging.origin import Origin
from taxiway.packaging.preflight import Preflight, Progress
from taxiway.packaging.tags import Tags
from taxiway.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.packaging.difference import Difference
    from taxiway.packaging.environment import Comparison, Environment
    from taxiway.packaging.parity import Parity
    from taxiway.serving.runtime import Runtime

SIGNATURE = "signature.json"
ENVIRONMENT = "environment.json"
REQUIREMENTS = "requirements.txt"
PARITY = "parity.json"
PREFLIGHT = "preflight.json"
REFERENCE = "reference.bin"
SAMPLE = "sample.json"
#: The folder of the source of the model's own modules.
SOURCES = "sources"


@dataclass(frozen=True, repr=False)
class Model:
    """One version of a model, as it lies in the store.

    Parameters
    ----------
    manifest
        What ``model.json`` says.
    path
        The folder of its files; nothing in it ever changes.
    """

    manifest: Manifest
    path: Path

    @property
    def name(self) -> str:
        """The name that all versions share."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The first 12 hexadecimal digits of ``digest``."""
        return self.manifest.version

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def digest(self) -> str:
        """The SHA-256 of what the Model is: graph, signature, reference data, pins and description."""
        return self.manifest.digest

    @property
    def created(self) -> str:
        """When it was first packaged, in UTC, as ISO 8601."""
        return self.manifest.created

    @property
    def framework(self) -> str:
        """What the original was made with, such as ``sklearn``."""
        return self.manifest.framework

    @property
    def task(self) -> Task:
        """What it does, such as ``classification`` or ``regression``."""
        return self.manifest.task

    @property
    def classes(self) -> tuple[Scalar, ...] | None:
        """The labels of a classifier, in the order of its probabilities."""
        return self.manifest.classes

    @property
    def target(self) -> str | None:
        """The name of what is predicted, if the target was given with one."""
        return self.manifest.target

    @property
    def description(self) -> str:
        """What its author wrote about it."""
        return self.manifest.description

    @property
    def metrics(self) -> Mapping[str, float]:
        """What its author measured."""
        return self.manifest.metrics

    @property
    def outputs(self) -> tuple[OutputColumn, ...]:
        """Its output columns, and which tensors of the graph they come from."""
        return self.manifest.outputs

    @property
    def slices(self) -> tuple[str, ...]:
        """The input columns by whose values it is judged apart, as declared when it was packaged."""
        return self.manifest.slices

    @property
    def importances(self) -> Mapping[str, float]:
        """How much each input column matters, as shares of 1; empty if that is not known."""
        return self.manifest.importances

    @property
    def lineage(self) -> Lineage:
        """Where it comes from."""
        return self.manifest.lineage

    @property
    def size_bytes(self) -> int:
        """The size of all its files together."""
        return self.manifest.size_bytes

    @property
    def bento(self) -> str | None:
        """The tag of its Bento, if one was built."""
        return self.manifest.bento

    @property
    def tags(self) -> list[str]:
        """The words that name it now, such as ``champion``: ``name:champion`` loads it.

        Raises
        ------
        CorruptionError
            The file of tags is damaged.
        """
        return Tags.read(self.path.parent).of(self.version)

    @property
    def origin(self) -> Origin | None:
        """Where it was imported from; None if it was packaged in this store."""
        return Origin.of(self.name, self.version)

    @cached_property
    def signature(self) -> Signature:
        """The columns it takes and gives."""
        return Signature.from_dict(self._json(SIGNATURE))

    @cached_property
    def parity(self) -> Parity:
        """How the exported model compared with the original."""
        from taxiway.packaging.parity import Parity

        return Parity.from_dict(self._json(PARITY))

    @cached_property
    def environment(self) -> Environment:
        """Where and with what it was made."""
        from taxiway.packaging.environment import Environment

        return Environment.read(self.path / ENVIRONMENT)

    @property
    def checks(self) -> Preflight:
        """The checks on record: those made when it was packaged, and those of the last ``preflight()``."""
        packaged, later = Preflight.from_dict(self._json(PREFLIGHT)), preflight.record(self)
        if later is None and self.origin is not None:
            later = preflight.untried(self.tag)
        return packaged if later is None else packaged.updated(later)

    def preflight(self, progress: Progress | None = None, *, waive: Iterable[str] = ()) -> Preflight:
        """Make the checks that can be made of a stored Model, and record them.

        The Bento is replayed in a fresh environment: it must answer as the notebook's object did.

        Parameters
        ----------
        progress
            Called with a line per stage and with each check; by default they are printed in an
            interactive session.
        waive
            Names of checks that may fail, which is recorded.

        Returns
        -------
        Preflight
            All checks, those made when it was packaged among them.
        """
        return preflight.run(self, progress or progresses.default(), waive=waive)

    def reference(self) -> Any:
        """Give the whylogs profile (a DatasetProfileView) of inputs, outputs and target."""
        from taxiway.monitoring.profiles import read

        return read(self.path / REFERENCE)

    def reference_rows(self) -> pd.DataFrame | None:
        """Give the rows of the reference that are kept, up to 1,000 of them; None if none are."""
        from taxiway.packaging import reference_rows

        return reference_rows.read(self.path) if self.manifest.reference_rows else None

    def sample(self) -> dict[str, Any]:
        """Give up to 20 rows and their answers: ``{"records": [...], "outputs": {name: [...]}}``."""
        return self._json(SAMPLE)

    def diff(self, other: Model) -> Difference:
        """Say by name what ``other`` has otherwise."""
        from taxiway.packaging import difference

        return difference.between(self, other)

    def export(self, place: str | Path, *, overwrite: bool = False) -> str:
        """Write it to one file, at a path or any URL that fsspec reaches; give where.

        ``taxiway.import_model`` reads it into another store.

        Raises
        ------
        ConflictError
            There is a file already, and ``overwrite`` is not given.
        InputError
            The place cannot be reached, or not be written to.
        """
        from taxiway.packaging import transfer

        return transfer.export(self, place, overwrite=overwrite)

    def check_environment(self) -> Comparison:
        """Compare the environment it was made in with this process's."""
        from taxiway.packaging import environment

        recorded = self.environment
        seeds = {"PYTHONHASHSEED": environment.hash_seed()}
        return recorded.compare(environment.record((), seeds, needed=recorded.needed))

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predict every row, as the endpoint would: the exported model in the serving runtime.

        Parameters
        ----------
        frame
            At least the signature's columns, in any order; more are ignored.

        Returns
        -------
        DataFrame
            One column per output, with the frame's index.

        Raises
        ------
        InputError
            A column is missing, or holds what the model cannot take.
        """
        import pandas as pd

        missing = [name for name in self.signature.names if name not in frame.columns]
        if missing:
            raise InputError(
                f"{self.tag} needs columns that the data lacks: {', '.join(missing)}.",
                hint=f"It takes {', '.join(self.signature.names)}.",
            )
        columns = {name: _values(frame[name]) for name in self.signature.names}
        try:
            outputs = self._runtime.predict(columns)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self.tag} cannot take this data: {error}.", hint="Compare its dtypes with model.signature."
            ) from error
        return pd.DataFrame(outputs, index=frame.index)

    @cached_property
    def _runtime(self) -> Runtime:
        from taxiway.serving.runtime import Runtime

        return Runtime(self.path)

    def _words(self) -> list[str]:
        try:
            return self.tags
        except CorruptionError:  # spoils no list; whoever names a tag is told
            return []

    def to_summary(self) -> dict[str, Any]:
        """Give the JSON form that lists show; where it is live is for the control plane to add."""
        return {
            "tag": self.tag,
            "name": self.name,
            "version": self.version,
            "created": self.created,
            "framework": self.framework,
            "task": self.task,
            "size_bytes": self.size_bytes,
            "preflight": self.checks.to_counts(),
            "tags": self._words(),
            "imported": None if self.origin is None else asdict(self.origin),
            "live_on": [],
            "shadow_on": [],
        }

    def to_detail(self) -> dict[str, Any]:
        """Give the JSON form with everything that is shown of one Model."""
        checks = self.checks
        return {
            **self.to_summary(),
            "description": self.description,
            "target": self.target,
            "classes": None if self.classes is None else list(self.classes),
            "metrics": dict(self.metrics),
            "preflight": {**checks.to_dict(), **checks.to_counts()},
            "signature": self.signature.to_plain(),
            "parity": self._json(PARITY),
            "lineage": asdict(self.lineage),
            "environment": self._json(ENVIRONMENT),
            "bento": self.bento,
        }

    def __repr__(self) -> str:
        return f"Model({self.tag!r})"

    def __str__(self) -> str:
        return self.tag

    def __hash__(self) -> int:
        return hash(self.digest)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from taxiway.lab.display import model_bundle

        return model_bundle(self.to_detail())

    def _json(self, name: str) -> dict[str, Any]:
        try:
            body: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CorruptionError(
                f"{name} of {self.tag} cannot be read: {error}.", hint="Package the model again."
            ) from error
        return body


def _values(series: pd.Series[Any]) -> list[Any]:
    """Give Python values with None for missing, as a request's JSON would have them."""
    return series.astype(object).where(series.notna(), None).tolist()
