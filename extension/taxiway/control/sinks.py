"""Where alerts are delivered: the definition names where the secret lies, and never holds it."""

from __future__ import annotations

import os
import re
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from taxiway.control.hosts import insist_open_host
from taxiway.control.ledger import Ledger, now, record
from taxiway.control.tables import DeliveryRow, SinkRow
from taxiway.errors import ConflictError, InputError, NotFoundError, TaxiwayError
from taxiway.monitoring.context import SEVERITIES, Severity

Kind = Literal["apprise", "webhook", "alertmanager"]
MOST_SINKS = 50
#: Apprise's schemes whose address alone is no credential; of any other, the address is the token.
PLAIN_SCHEMES = frozenset(
    {"json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "syslog", "dbus", "gnome"}
)
_REFERENCE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]{0,99})|keyring:([^/\s]{1,100})/([^\s]{1,100})")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_TOKEN = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_\-.~%:]{16,}")
_SECRET_PATHS = (
    *("slack.com", "discord.com", "discordapp.com", "office.com", "azure.com", "googleapis.com"),
    *("telegram.org", "ifttt.com", "zapier.com", "pagerduty.com", "opsgenie.com", "webhook.site"),
)
_REMEDY = "Put it into an environment variable of the agent, and give its name: --url env:MY_SINK_URL."


class SinkSpec(BaseModel):
    """One sink.

    Attributes
    ----------
    url
        Where to: ``env:NAME`` (an environment variable of the agent), ``keyring:SERVICE/USER``, or the
        address itself if there is nothing in it that others must not know.
    secret
        ``env:NAME`` or ``keyring:SERVICE/USER`` of the key with which a webhook is signed.
    token
        The same, of the bearer token that a webhook or Alertmanager asks for.
    severity
        The least severity that is told.
    endpoints
        Only of these; all if empty.
    resolved
        Whether it is told that an alert is over.
    timeout
        Seconds that it may take to answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = "apprise"
    url: str = Field(min_length=1, max_length=4000)
    secret: str = ""
    token: str = ""
    severity: Severity = "info"
    endpoints: tuple[str, ...] = ()
    resolved: bool = True
    timeout: float = Field(default=10.0, gt=0, le=60)

    @field_validator("secret", "token")
    @classmethod
    def _names_it(cls, value: str) -> str:
        if value and _REFERENCE.fullmatch(value) is None:
            raise ValueError("it has to name where the secret lies, env:NAME or keyring:SERVICE/USER")
        return value

    def takes(self, endpoint: str, severity: str) -> bool:
        """Whether an alert is told to it."""
        severe = SEVERITIES.index(severity) >= SEVERITIES.index(self.severity)
        return severe and (not self.endpoints or not endpoint or endpoint in self.endpoints)


def read_secret(reference: str) -> str:
    """Read what a reference names; anything else is given back as it is.

    Raises
    ------
    TaxiwayError
        There is no such variable or entry here.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        return reference
    variable, service, user = found.groups()
    if variable:
        value = os.environ.get(variable, "")
        if not value:
            raise TaxiwayError(
                f"The agent has no environment variable {variable}.",
                hint=f"Set it, then `taxiway agent stop` and `taxiway agent start` where {variable} is set.",
            )
        return value
    try:
        import keyring
    except ModuleNotFoundError:
        raise TaxiwayError(
            "A secret in a keyring needs the package keyring.", hint="pip install keyring, or use env:NAME."
        ) from None
    value = keyring.get_password(service, user) or ""
    if not value:
        raise TaxiwayError(
            f"The keyring has no entry {service}/{user}.", hint=f"keyring set {service} {user} makes it."
        )
    return str(value)


def check_address(kind: Kind, url: str) -> SplitResult:
    """Look at an address that a sink is to use.

    Raises
    ------
    InputError
        It is none, or one that nobody should send alerts to.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise InputError(
            "A sink's address cannot be read.", hint="Give one such as https://host/path."
        ) from None
    if kind != "apprise" and (parts.scheme not in ("http", "https") or not host):
        raise InputError(f"A sink of kind {kind} needs an http or https address.", hint="https://host/path.")
    if not parts.scheme:
        raise InputError("A sink's address needs a scheme, such as slack:// or json://.", hint=_REMEDY)
    if parts.scheme.lower() in ("file", "ftp", "data"):
        raise InputError("Alerts are not written to files.", hint="Give one such as https://host/path.")
    if "template=" in parts.query:
        raise InputError("A sink's address cannot name a template file.", hint="Leave template= out.")
    insist_open_host(host)
    return parts


def _carries_secret(kind: Kind, parts: SplitResult) -> bool:
    if parts.username or parts.password or (kind != "apprise" and parts.query):
        return True
    if kind == "apprise" and parts.scheme not in PLAIN_SCHEMES:
        return True
    if any(word in parts.query.lower() for word in ("pass", "token", "key", "secret", "user")):
        return True
    known = (parts.hostname or "").endswith(_SECRET_PATHS)
    return (known and len(parts.path) > 1) or any(_TOKEN.fullmatch(one) for one in parts.path.split("/"))


def parse(definition: dict[str, Any]) -> SinkSpec:
    """Read a definition.

    Raises
    ------
    InputError
        It cannot be used; a secret in it is refused.
    """
    try:
        spec = SinkSpec.model_validate(definition)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "it"
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(
            f"A sink's {field} cannot be used: {reason[:1].lower()}{reason[1:]}.",
            hint="`taxiway sinks add --help` tells what it can be.",
        ) from None
    if _REFERENCE.fullmatch(spec.url) is None:
        if spec.url.startswith(("env:", "keyring:")):
            raise InputError(
                "A sink's url does not name a variable or an entry.", hint="env:NAME or keyring:SERVICE/USER."
            )
        if _carries_secret(spec.kind, check_address(spec.kind, spec.url)):
            raise InputError(
                "That address carries a credential, which would be kept in the ledger for all to read.",
                hint=_REMEDY,
            )
    return spec


def add(ledger: Ledger, name: str, definition: dict[str, Any], *, by: str) -> SinkSpec:
    """Add a sink, or change the one of that name; a new one is told what fires already.

    Raises
    ------
    InputError
        The name or the definition cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:60]!r} cannot be a sink's name.",
            hint="Use up to 60 lowercase letters, digits and hyphens.",
        )
    from taxiway.control import outbox  # which reads definitions itself

    spec = parse(definition)
    with ledger.transaction() as session:
        row = session.get(SinkRow, name)
        if is_new := row is None:
            if len(session.scalars(select(SinkRow.name)).all()) >= MOST_SINKS:
                raise ConflictError(
                    f"There are {MOST_SINKS} sinks already.", hint="`taxiway sinks remove` makes room."
                )
            row = SinkRow(name=name, created=now())
            session.add(row)
        row.definition = spec.model_dump(mode="json", exclude_defaults=True) | {"kind": spec.kind}
        row.failures, row.error = 0, ""
        if is_new:
            outbox.enqueue_open(session, row, now())
        text = f"Alerts are delivered to {name} ({spec.kind}), from {spec.severity} on."
        record(session, "sink added", text, by=by, sink=name)
    return spec


def remove(ledger: Ledger, name: str, *, by: str) -> None:
    """Remove a sink, and what waits to be told to it."""
    with ledger.transaction() as session:
        get(session, name)
        session.execute(delete(DeliveryRow).where(DeliveryRow.sink == name))
        session.execute(delete(SinkRow).where(SinkRow.name == name))
        record(session, "sink removed", f"No alert is delivered to {name} any more.", by=by, sink=name)


def get(session: Session, name: str) -> SinkRow:
    """Find a sink.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    row = session.get(SinkRow, name)
    if row is None:
        known = ", ".join(sorted(session.scalars(select(SinkRow.name))))
        hint = f"There are: {known}." if known else "`taxiway sinks add NAME --url env:VARIABLE` adds one."
        raise NotFoundError(f"There is no sink {name[:60]!r}.", hint=hint)
    return row


def listed(ledger: Ledger) -> list[dict[str, Any]]:
    """List the sinks, with how they fare."""
    with ledger.reading() as session:
        rows = session.scalars(select(SinkRow).order_by(SinkRow.name)).all()
        waiting = list(session.scalars(select(DeliveryRow.sink).where(DeliveryRow.state == "queued")))
    return [
        {
            "name": row.name,
            **parse(row.definition).model_dump(mode="json"),
            "failures": row.failures,
            "error": row.error,
            "delivered": row.delivered.isoformat() if row.delivered else None,
            "waiting": waiting.count(row.name),
        }
        for row in rows
    ]
