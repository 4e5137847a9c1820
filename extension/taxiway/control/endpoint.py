"""An endpoint, as the notebook holds it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.control import agent_process, desired, options, remote
from taxiway.control import rules as rules_of
from taxiway.control.client import EndpointClient
from taxiway.control.known import KnownEndpoint
from taxiway.control.ledger import actor, ledger, now, record
from taxiway.control.retraining import DRIFT_RULES
from taxiway.control.tables import ObservationRow, TriggerRow
from taxiway.errors import InputError, NotReadyError

if TYPE_CHECKING:
    import pandas as pd

    from taxiway.control.outcomes import Sent
    from taxiway.packaging.model import Model

WAIT_SECONDS = remote.WAIT_SECONDS
# Between two looks at whether the ledger changed: a hundredth of the time waited so far, within these
SHORTEST_LOOK, LONGEST_LOOK = 0.005, 0.25


class Endpoint(KnownEndpoint):
    """A stable name and URL on one back end, with a live Model and at most one shadow.

    It holds nothing but the name: every method reads or writes the ledger, or asks the endpoint.

    Attributes
    ----------
    token
        What it asks of its clients, where this object was given it; else ``TAXIWAY_TOKEN`` is looked for.
    """

    def __init__(self, name: str, *, channel: str = "api", token: str = "") -> None:
        super().__init__(name, channel=channel)
        self.token = token
        self._client: EndpointClient | None = None

    @property
    def url(self) -> str:
        """Where it listens.

        Raises
        ------
        NotReadyError
            It has no URL yet.
        """
        _, seen = self.state()
        if seen is None or not seen.url:
            raise NotReadyError(
                f"Endpoint {self.name!r} has no URL yet.", hint="Wait for it: endpoint.wait()."
            )
        return seen.url

    def wait(self, timeout: float | None = None) -> Endpoint:
        """Wait until what runs is what was asked for.

        Parameters
        ----------
        timeout
            Seconds; as long as the back end usually takes if not given.

        Raises
        ------
        NotReadyError
            It did not get there in time; the message gives the back end's reason.
        """
        started = time.monotonic()
        deadline = started + (remote.patience(self.state()[0].backend) if timeout is None else timeout)
        next_check = started + 2
        book, token = ledger(), ""
        while True:
            if time.monotonic() > next_check:
                if not agent_process.status().running:
                    raise NotReadyError(
                        f"The agent stopped before {self.name!r} was ready.",
                        hint="Read the end of agent.log in TAXIWAY_HOME, then `taxiway agent start`.",
                    )
                next_check = time.monotonic() + 2
            if (newest := book.data_version()) != token:
                token, (row, seen) = newest, self.state()
            if seen and seen.generation == row.generation:
                arrived = seen.live == row.live and seen.shadow == row.shadow
                if seen.status == "READY" and arrived:
                    return self
                if seen.status in ("FAILED", "DEGRADED") and not arrived and seen.reason:
                    break
            # A back end that takes half an hour is not waited for where it does not even begin
            if (
                seen
                and seen.status == "UNKNOWN"
                and seen.reason
                and time.monotonic() > started + WAIT_SECONDS
            ):
                break
            if time.monotonic() > deadline:
                break
            time.sleep(min(max(SHORTEST_LOOK, (time.monotonic() - started) / 100), LONGEST_LOOK))
        reason = f"{seen.status}: {seen.reason}" if seen else "the agent has not acted on it"
        raise NotReadyError(
            f"Endpoint {self.name!r} is not ready ({reason.rstrip(': ')}).",
            hint=f"`taxiway endpoints show {self.name}` and `taxiway agent status` tell more.",
        )

    def predict(
        self, rows: pd.DataFrame, *, ids: Sequence[str] | None = None, times: Iterable[Any] | None = None
    ) -> pd.DataFrame:
        """Ask for predictions over HTTP; see ``EndpointClient.predict``."""
        return self.client.predict(rows, ids=ids, times=times)

    def outcomes(
        self,
        outcomes: Mapping[str, Any] | pd.Series[Any] | pd.DataFrame,
        *,
        id: str = "id",
        outcome: str = "outcome",
        time: str | None = None,
        on: Sequence[str] = (),
        tolerance: str | None = None,
        timezone: str = "UTC",
        progress: Callable[[int, int], None] | None = None,
    ) -> Sent:
        """Send the truth for predictions; of late, repeated and corrected ones the last received holds.

        Parameters
        ----------
        outcomes
            A mapping of prediction ids, a Series whose index they are, or a DataFrame of one outcome a row.
        id, outcome
            The DataFrame's columns of prediction ids and of outcomes.
        time
            Its column of when each outcome came true.
        on
            Instead of ``id``: input columns of the Model that the DataFrame has too. The prediction is then
            the nearest one with these values at or before ``time``; without ``time``, the only one.
        tolerance
            How much earlier that prediction may be, such as ``1d``.
        timezone
            What times without a zone are in.
        progress
            Called with how many were accepted, and of how many.

        Returns
        -------
        Sent
            How many were accepted, an int, whose ``findings`` name what was left out and why.

        Raises
        ------
        InputError
            A column is missing or an outcome cannot be one; nothing was sent.
        RequestError
            The endpoint refused or did not answer; sending all again is safe.
        """
        import pandas as pd

        from taxiway.control import outcomes as sending

        if not isinstance(outcomes, pd.DataFrame):
            pairs = {str(name): value for name, value in outcomes.items()}
            table = pd.DataFrame({id: pd.Series(list(pairs), dtype=object)})
            outcomes = table.assign(**{outcome: pd.Series(list(pairs.values()), dtype=object)})
        told = sending.prepare(
            self.name,
            outcomes,
            id=id,
            outcome=outcome,
            time=time,
            on=on,
            tolerance=tolerance,
            timezone=timezone,
        )
        return sending.send(self.client, told, progress)

    @property
    def client(self) -> EndpointClient:
        """A connection that is kept open, to the present URL."""
        url = self.url
        if self._client is None or self._client.url != url:
            row, seen = self.state()
            wanted = options.fields(row.options)
            self._client = EndpointClient(
                url,
                transport=remote.transport(row, seen),
                token=self.token or os.environ.get("TAXIWAY_TOKEN", ""),
                uds=wanted["uds"],
                certificate=wanted["tls"].certificate if wanted["tls"] else None,
            )
        return self._client

    def start_shadow(
        self, model: Model | str, *, override: Sequence[str] = (), wait: bool = True
    ) -> Endpoint:
        """Let a Model see the live traffic; it never touches a response.

        Parameters
        ----------
        override
            Names of blocking preflight checks that may have failed.
        """
        from taxiway.packaging import registry

        found = registry.load(model if isinstance(model, str) else model.tag)
        found.checks.require(found.tag, override)
        with ledger().transaction() as session:
            registry.insist(found.tag)
            desired.start_shadow(session, self.name, found.tag, by=actor(self._channel))
        return self.wait() if wait else self

    def stop_shadow(self, *, wait: bool = True) -> Endpoint:
        """Take the shadow away."""
        with ledger().transaction() as session:
            desired.stop_shadow(session, self.name, by=actor(self._channel))
        return self.wait() if wait else self

    def promote(self, *, force: bool = False, wait: bool = True) -> Endpoint:
        """Make the shadow live, without a failed request.

        Parameters
        ----------
        force
            Promote against the verdict; it is recorded.
        """
        with ledger().transaction() as session:
            desired.promote(session, self.name, force=force, by=actor(self._channel))
        return self.wait() if wait else self

    def rollback(self, *, wait: bool = True) -> Endpoint:
        """Make the Model that was live before live again, without a failed request."""
        with ledger().transaction() as session:
            desired.rollback(session, self.name, by=actor(self._channel))
        return self.wait() if wait else self

    def delete(self, *, wait: bool = True) -> None:
        """Stop serving; the prediction log, the Models and the history stay."""
        with ledger().transaction() as session:
            desired.delete(session, self.name, by=actor(self._channel))
        agent_process.start()
        deadline = time.monotonic() + WAIT_SECONDS
        while wait and time.monotonic() < deadline:
            with ledger().reading() as session:
                seen = session.get(ObservationRow, self.name)
            if seen is None or seen.status == "ABSENT":
                return
            time.sleep(0.05)
        if wait:
            raise NotReadyError(
                f"Endpoint {self.name!r} still runs.", hint="Read the end of agent.log in TAXIWAY_HOME."
            )

    def retrain_on_drift(
        self,
        notebook: str | Path,
        *,
        parameters: Mapping[str, Any] | None = None,
        min_outcomes: int = 100,
        rules: Sequence[str] = DRIFT_RULES,
        timeout: float = 3600.0,
    ) -> Endpoint:
        """Run a notebook by papermill when an alert of drift is open; what it packages becomes the shadow.

        Parameters
        ----------
        notebook
            Gets ``parameters`` and the parameter ``endpoint``; it calls ``taxiway.package``.
        min_outcomes
            Outcomes that the live Model must have got since it went live, or since the last run, so that
            there is something new to learn from.
        rules
            The rules whose alerts count: any default rule or one that was set, or ``*`` for every one.
        timeout
            Seconds after which a run is killed and recorded as failed.
        """
        path = Path(notebook).expanduser().absolute()
        if not path.is_file():
            raise InputError(f"There is no notebook at {path}.", hint="Give the path of an .ipynb file.")
        with ledger().transaction() as session:
            desired.get(session, self.name)
            rules_of.insist(session, self.name, rules)
            row = session.get(TriggerRow, self.name) or TriggerRow(endpoint=self.name, created=now())
            row.notebook, row.parameters = str(path), dict(parameters or {})
            row.rules, row.min_outcomes, row.timeout = list(rules), min_outcomes, timeout
            session.add(row)
            record(
                session,
                "trigger set",
                f"{path.name} will run when {', '.join(rules)} fires and {min_outcomes} outcomes are in.",
                by=actor(self._channel),
                endpoint=self.name,
            )
        return self
