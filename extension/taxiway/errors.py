"""Every error that Taxiway raises on purpose.

- TaxiwayError
  - InputError            what the user gave cannot be used
    - PackagingError      a model object cannot become a Model
      - ParityError       the exported model does not answer as the original does
      - PreflightError    a blocking check failed
    - NotFoundError       no Model, endpoint, run or alert of that name
  - ConflictError         what is asked for contradicts what is there
  - BackendError          a back end could not do what it was asked
    - UnsupportedError    this back end cannot do that at all
    - NotReadyError       an endpoint did not get ready in time
  - RequestError          an endpoint refused or failed a request
  - AgentError            the agent cannot be started, stopped or reached
  - RetrainingError       a retraining run failed
  - CorruptionError       a file is not what it was when it was written

Each carries a ``hint``: one sentence that says what to do next. The command line prints the two
sentences, the API raises, and the user interface shows both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TaxiwayError(Exception):
    """Base of every error that Taxiway raises on purpose.

    Parameters
    ----------
    message
        One sentence: what is wrong.
    hint
        One sentence: what to do next.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InputError(TaxiwayError):
    """What the user gave cannot be used."""


class PackagingError(InputError):
    """A model object cannot become a Model."""


class ParityError(PackagingError):
    """The exported model does not answer as the original does.

    Attributes
    ----------
    table
        One line per output with the rows that differ, and the row that differs most; empty if there is none.
    """

    table: str = ""

    def __str__(self) -> str:
        return "\n\n".join(part for part in (super().__str__(), self.table) if part)


class PreflightError(PackagingError):
    """A blocking preflight check failed."""


class NotFoundError(InputError):
    """There is no Model, endpoint, run or alert of that name."""


class ConflictError(TaxiwayError):
    """What is asked for contradicts what is there."""


class BackendError(TaxiwayError):
    """A back end could not do what it was asked."""


class UnsupportedError(BackendError):
    """A back end cannot do what it was asked at all."""


class NotReadyError(BackendError):
    """An endpoint did not get ready in time."""


class RequestError(TaxiwayError):
    """An endpoint refused or failed a request.

    Attributes
    ----------
    status
        The HTTP status, or 0 when the endpoint did not answer.
    findings
        What was wrong with which row and column, as the endpoint's answer says it.
    """

    status: int = 0
    findings: Sequence[dict[str, Any]] = ()


class AgentError(TaxiwayError):
    """The agent cannot be started, stopped or reached."""


class RetrainingError(TaxiwayError):
    """A retraining run failed."""


class CorruptionError(TaxiwayError):
    """A file is not what it was when it was written."""
