"""What is known of an endpoint: what was asked for, what was seen, and what the monitor found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.control import desired
from taxiway.control import rules as rules_of
from taxiway.control.ledger import actor, ledger
from taxiway.control.tables import EndpointRow, ObservationRow
from taxiway.errors import NotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from taxiway.control.outcomes import OutcomeStatus
    from taxiway.lab.monitor_widget import MonitorWidget
    from taxiway.lab.report import Report
    from taxiway.monitoring.sketches import View
    from taxiway.monitoring.windows import Unit
    from taxiway.shadow.compare import ShadowReport


class KnownEndpoint:
    """An endpoint as the ledger and the monitor know it.

    It holds nothing but the name: every method reads the ledger, and only ``rules`` may write.
    """

    def __init__(self, name: str, *, channel: str = "api") -> None:
        self.name = name
        self._channel = channel

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        from taxiway.lab.display import endpoint_bundle
        from taxiway.lab.report import hidden_detail

        return endpoint_bundle(hidden_detail(self.name))

    def state(self) -> tuple[EndpointRow, ObservationRow | None]:
        """Give what is asked for, and what was seen last, as the ledger has them."""
        with ledger().reading() as session:
            return desired.get(session, self.name), session.get(ObservationRow, self.name)

    @property
    def live(self) -> str:
        """The tag of the Model that answers."""
        return self.state()[0].live

    @property
    def shadow(self) -> str | None:
        """The tag of the Model that watches, if any."""
        return self.state()[0].shadow

    @property
    def status(self) -> str:
        """The back end's word for it: READY, PENDING, DEGRADED and so on."""
        _, seen = self.state()
        return seen.status if seen else "PENDING"

    def outcome_status(self) -> OutcomeStatus:
        """Count the outcomes that arrived: joined, corrected, for unknown ids, and what is odd about them."""
        from taxiway.control import outcomes as sending

        return sending.status(self.name)

    def drift(self) -> pd.DataFrame:
        """Give the drift of every window and column against the reference, oldest window first."""
        from taxiway.control import readings

        return readings.drift(self.name)

    def performance(self) -> pd.DataFrame:
        """Give the main metric of every window, real and estimated, oldest first.

        Returns
        -------
        pandas.DataFrame
            One row a window and role: ``value``, ``low``, ``high`` (95 % interval), ``n`` outcomes and
            ``coverage`` (share of the predictions) once outcomes are known; ``estimated``,
            ``estimated_low`` and ``estimated_high``, what was expected without them; ``note``, how that was
            estimated, or why it cannot be; and every other metric that was measured, by name.
        """
        from taxiway.control import readings

        return readings.performance(self.name)

    def slices(self) -> pd.DataFrame:
        """Give the performance within each slice of every window that has outcomes, oldest first.

        Returns
        -------
        pandas.DataFrame
            One row a window, role and slice: the main metric with its 95 % interval, ``gap`` to all other
            rows, ``p_value`` (Holm's, over the window's slices), ``worse``, and for two classes ``recall``,
            ``demographic_parity_difference`` and ``equal_opportunity_difference``.
        """
        from taxiway.control import readings

        return readings.slices(self.name)

    def concept(self) -> pd.DataFrame:
        """Give the changes of the error that were noticed, of each Model, oldest first.

        Returns
        -------
        pandas.DataFrame
            One row a change: ``model``, ``time`` (of the first prediction after it), ``metric``, ``before``,
            ``after``, ``n`` outcomes after it, and ``method``.
        """
        from taxiway.control import readings

        return readings.concept(self.name)

    def profile(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        unit: Unit | None = None,
        slice: str | None = None,
    ) -> list[View]:
        """Give the live Model's stored windows as whylogs profiles, merged.

        Parameters
        ----------
        since, until
            Windows that begin within; times without a zone are UTC.
        unit
            One profile for each ``hour``, ``day``, ``week`` or ``month``; None for one of all.
        slice
            Of these rows only: ``column=value`` of a declared slice.

        Returns
        -------
        list of whylogs.core.DatasetProfileView
            Oldest first; each tells in its metadata what it is of.
        """
        from taxiway.control import stored

        return stored.merged(self.name, since=since, until=until, unit=unit, slice=slice)

    def predictions(self) -> pd.DataFrame:
        """Give the prediction log as a DataFrame: ids, times, Model, role, inputs, outputs."""
        from taxiway.control import readings

        return readings.predictions(self.name)

    def labelled(self) -> pd.DataFrame:
        """Give the inputs of every live prediction with an outcome, one column per input, and ``outcome``.

        The columns ``time`` and ``id`` come along; this is what a retraining notebook learns from.
        """
        from taxiway.control import readings

        return readings.labelled(self.name)

    def shadow_report(self) -> ShadowReport:
        """Compare the shadow with the live Model on joined outcomes, now."""
        from taxiway.control import readings

        row, _ = self.state()
        if row.shadow is None:
            raise NotFoundError(
                f"Endpoint {self.name!r} has no shadow.",
                hint=f"Start one: `taxiway shadow start {self.name} MODEL`.",
            )
        return readings.shadow_report(self.name)

    def rules(
        self, rules: str | Path | Iterable[Mapping[str, Any]] | None = None, *, delete: Iterable[str] = ()
    ) -> pd.DataFrame:
        """Give the rules that hold for the endpoint; set some before, all of them or none.

        Parameters
        ----------
        rules
            A YAML file, or mappings such as ``{"name": "wind-moves", "metric": "psi", "column": "wind",
            "above": 0.3, "for": "2h", "severity": "critical"}``; ``taxiway.monitoring.rulebook.RuleSpec``
            tells every field. The name of a default rule changes that one: ``{"name": "new_category",
            "enabled": False}``.
        delete
            Names of rules of this endpoint that are deleted.

        Returns
        -------
        pandas.DataFrame
            One row a rule: ``name``, ``endpoint`` (empty for all), ``enabled``, ``about`` and so on.

        Raises
        ------
        InputError
            A rule cannot be used; it names the field, and of a file the line.
        """
        import pandas as pd

        with ledger().reading() as session:
            desired.get(session, self.name)
        if rules is not None:
            rules_of.apply(ledger(), rules_of.placed(rules, self.name), by=actor(self._channel))
        for name in delete:
            rules_of.delete(ledger(), name, self.name, by=actor(self._channel))
        return pd.DataFrame(rules_of.listed(ledger(), self.name))

    def alerts(self) -> pd.DataFrame:
        """Give the endpoint's alerts: open ones first, critical ones before others, then newest first."""
        from taxiway.control import readings

        return readings.alerts(self.name)

    def report(self, path: str | Path | None = None, *, since: datetime | None = None) -> Report:
        """Give a report that shows itself: what needs attention, and what that rests on.

        Parameters
        ----------
        path
            Where to save it as one HTML page that needs nothing else; nowhere by default.
        since
            Leave out what is earlier; without a zone: UTC.

        Raises
        ------
        ConflictError
            There is a file at ``path`` that is no report.
        """
        from taxiway.lab.report import gather

        made = gather(self.name, since=since)
        if path is not None:
            made.save(path)
        return made

    def monitor(self, *, seconds: float = 5.0) -> MonitorWidget:
        """Give a live view for the notebook, in any front end that shows widgets.

        It refreshes by itself while it is shown, when the ledger has changed; an exported notebook keeps
        what it showed when the cell was run.

        Parameters
        ----------
        seconds
            How often to look, at least 0.2.
        """
        from taxiway.lab.monitor_widget import MonitorWidget

        return MonitorWidget(self.name, seconds=seconds)

    def timeline(self) -> pd.DataFrame:
        """Give what happened, when, by whom and why, oldest first."""
        import pandas as pd

        from taxiway.control import views

        return pd.DataFrame(views.timeline(self.name))
