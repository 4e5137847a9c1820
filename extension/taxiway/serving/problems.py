"""A request that is answered with an error, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taxiway.serving.findings import Finding


class Problem(Exception):
    """A request cannot be answered; it becomes the JSON body ``{"error", "hint"}``, with findings if any.

    Parameters
    ----------
    status
        The HTTP status.
    error
        One sentence: what is wrong.
    hint
        One sentence: what to do next.
    headers
        Response headers beside the usual ones, such as ``Retry-After``.
    findings
        What of the data is to blame.
    """

    def __init__(
        self,
        status: int,
        error: str,
        *,
        hint: str = "",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        findings: Sequence[Finding] = (),
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint
        self.headers = headers
        self.findings = findings

    def document(self) -> dict[str, Any]:
        """Give the body's fields."""
        document: dict[str, Any] = {"error": self.error, "hint": self.hint}
        if self.findings:
            document["findings"] = self.findings
        return document
