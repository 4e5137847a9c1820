"""The routes under ``<base_url>taxiway/api/``: authenticated, authorized, XSRF-protected, JSON in and out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web
from tornado.iostream import StreamClosedError

from taxiway.errors import ConflictError, InputError, NotFoundError, TaxiwayError
from taxiway.lab.feed import SEE_LOG, OverviewFeed
from taxiway.lab.profile_files import local_copy
from taxiway.lab.service import Service
from taxiway.lab.wire import encode

_NAME = r"([^/]+)"
MOST_SILENT_SECONDS = 366 * 86_400


class TaxiwayHandler(ExtensionHandlerMixin, APIHandler):
    """What every route shares: the service, and errors as a sentence and a hint."""

    auth_resource = "taxiway"

    @property
    def service(self) -> Service:
        """The control plane."""
        return cast(Service, self.settings["taxiway_service"])

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with ``{"error", "hint"}``."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        message, hint = _sentences(error, status_code)
        self.finish(encode({"error": message, "hint": hint}))

    async def check_files(self) -> None:
        """Refuse a user who may not read files, whatever else he may."""
        allowed = self.authorizer.is_authorized(self, self.current_user, "read", "contents")
        if not await ensure_async(allowed):
            raise web.HTTPError(403)

    async def answer(self, work: Awaitable[object]) -> None:
        """Send what ``work`` gives, or its error with the status that fits."""
        try:
            body = await work
        except TaxiwayError as error:
            self.set_status(_status(error))
            body = {"error": error.message, "hint": error.hint}
        self.finish(encode({"ok": True} if body is None else body))


class OverviewHandler(TaxiwayHandler):
    """Everything that the panel shows."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Return the overview."""
        await self.answer(self.service.overview())


class EndpointHandler(TaxiwayHandler):
    """One endpoint."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Return the endpoint in full."""
        await self.answer(self.service.endpoint(name))


class ColumnHandler(TaxiwayHandler):
    """One column of an endpoint."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, name: str, column: str) -> None:
        """Return its distribution in the window that starts at ``window``, of the Model ``model``."""
        window = self.get_query_argument("window", None)
        model = self.get_query_argument("model", None)
        await self.answer(self.service.column(name, column, window, model))


class ColumnHistoryHandler(TaxiwayHandler):
    """One column of an endpoint over time."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, name: str, column: str) -> None:
        """Return its quantiles, or its categories' shares, in every window."""
        await self.answer(self.service.column_history(name, column))


class ModelHandler(TaxiwayHandler):
    """One Model."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, name: str, version: str) -> None:
        """Return the Model in full."""
        await self.answer(self.service.model(name, version))


class PreflightHandler(TaxiwayHandler):
    """The preflight of one Model, which runs on while nobody looks."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, name: str, version: str) -> None:
        """Return how far it is."""
        await self.answer(self.service.preflight(name, version))

    @web.authenticated
    @authorized
    async def post(self, name: str, version: str) -> None:
        """Start it, or join the one that runs."""
        await self.answer(self.service.start_preflight(name, version))

    @web.authenticated
    @authorized
    async def delete(self, name: str, version: str) -> None:
        """Cancel it."""
        await self.answer(self.service.cancel_preflight(name, version))


class EndpointActionHandler(TaxiwayHandler):
    """Roll back, stop the shadow."""

    @web.authenticated
    @authorized
    async def post(self, name: str, action: str) -> None:
        """Do what the path says."""
        actions: dict[str, Callable[[str], Awaitable[None]]] = {
            "rollback": self.service.rollback,
            "shadow/stop": self.service.stop_shadow,
        }
        await self.answer(actions[action](name))


class PromoteHandler(TaxiwayHandler):
    """Make the shadow live."""

    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Promote; against the verdict only if the body's ``force`` is true."""
        body = self.get_json_body()
        force = isinstance(body, dict) and body.get("force") is True
        await self.answer(self.service.promote(name, force=force))


class ShadowHandler(TaxiwayHandler):
    """Put a Model into the shadow of an endpoint."""

    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Start the shadow that the body's ``model`` names."""
        body = self.get_json_body()
        tag = body.get("model") if isinstance(body, dict) else None
        if not isinstance(tag, str) or not tag:
            raise web.HTTPError(400, 'The body must be {"model": "name:version"}.')
        await self.answer(self.service.start_shadow(name, tag))


class AlertHandler(TaxiwayHandler):
    """Acknowledge an alert."""

    @web.authenticated
    @authorized
    async def post(self, alert: str) -> None:
        """Mark the alert as seen."""
        await self.answer(self.service.acknowledge(int(alert)))


class ReadyHandler(TaxiwayHandler):
    """What reads profiles, which takes seconds to start."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Start it before it is needed."""
        await self.answer(self.service.prepare_profiles())


class ProfileHandler(TaxiwayHandler):
    """A whylogs profile among the files."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Return what is in the file at the contents path ``path``."""
        await self.answer(self._picture(self.get_query_argument("path")))

    async def _picture(self, path: str) -> object:
        await self.check_files()
        async with local_copy(self.contents_manager, path) as copy:
            return await self.service.profile(str(copy), path.rsplit("/", 1)[-1])


class ComparisonHandler(TaxiwayHandler):
    """Two whylogs profiles side by side."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Compare the file ``right`` with the file ``left``, or with the reference of the Model ``model``."""
        left = self.get_query_argument("left", "")
        model = self.get_query_argument("model", "")
        if bool(left) == bool(model):
            raise web.HTTPError(400, "Give either `left`, a file, or `model`, a NAME:VERSION.")
        right = self.get_query_argument("right")
        await self.answer(self._with_model(model, right) if model else self._with_file(left, right))

    async def _with_model(self, model: str, right: str) -> object:
        await self.check_files()
        async with local_copy(self.contents_manager, right) as copy:
            name = right.rsplit("/", 1)[-1]
            return await self.service.comparison(f"model:{model}", model, str(copy), name)

    async def _with_file(self, left: str, right: str) -> object:
        await self.check_files()
        names = [path.rsplit("/", 1)[-1] for path in (left, right)]
        async with (
            local_copy(self.contents_manager, left) as first,
            local_copy(self.contents_manager, right) as second,
        ):
            return await self.service.comparison(str(first), names[0], str(second), names[1])


class SilenceHandler(TaxiwayHandler):
    """Silence an alert, and end that."""

    @web.authenticated
    @authorized
    async def post(self, alert: str) -> None:
        """Tell nobody of it for the body's ``seconds``."""
        body = self.get_json_body()
        seconds = body.get("seconds") if isinstance(body, dict) else None
        if not isinstance(seconds, int | float) or not 1 <= seconds <= MOST_SILENT_SECONDS:
            raise web.HTTPError(400, 'The body must be {"seconds": ...}, a year at most.')
        await self.answer(self.service.silence(int(alert), float(seconds)))

    @web.authenticated
    @authorized
    async def delete(self, alert: str) -> None:
        """End the silences of it alone."""
        await self.answer(self.service.unsilence(int(alert)))


class AgentHandler(TaxiwayHandler):
    """Start and stop the agent."""

    @web.authenticated
    @authorized
    async def post(self, action: str) -> None:
        """Do what the path says."""
        await self.answer(self.service.start_agent() if action == "start" else self.service.stop_agent())


class MetricsHandler(TaxiwayHandler):
    """Alerts, drift and performance, for Prometheus (with a token of this server as its credentials)."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Return the exposition."""
        body = await self.service.metrics()
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(body, set_content_type="text/plain; version=0.0.4; charset=utf-8")


class StreamHandler(TaxiwayHandler):
    """The overview as server-sent events: now, and whenever it changes."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Send events until the client or the server goes."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        feed = cast(OverviewFeed, self.settings["taxiway_feed"])
        events = feed.events()
        try:
            await self.flush()
            async for event in events:
                self.write(event.encode())
                await self.flush()
            self.finish(set_content_type="text/event-stream")
        except StreamClosedError:
            pass
        finally:
            await events.aclose()


class UnknownHandler(TaxiwayHandler):
    """Any other path: a 404 in JSON, not Jupyter's page."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer that there is nothing here."""
        raise web.HTTPError(404, "There is nothing at this path.")


def routes() -> list[tuple[str, type[TaxiwayHandler]]]:
    """Return every route and its handler."""
    api = "taxiway/api"
    return [
        (rf"{api}/overview", OverviewHandler),
        (rf"{api}/stream", StreamHandler),
        (rf"{api}/metrics", MetricsHandler),
        (rf"{api}/endpoints/{_NAME}", EndpointHandler),
        (rf"{api}/endpoints/{_NAME}/columns/{_NAME}", ColumnHandler),
        (rf"{api}/endpoints/{_NAME}/columns/{_NAME}/history", ColumnHistoryHandler),
        (rf"{api}/profiles", ProfileHandler),
        (rf"{api}/profiles/ready", ReadyHandler),
        (rf"{api}/profiles/comparison", ComparisonHandler),
        (rf"{api}/endpoints/{_NAME}/(rollback|shadow/stop)", EndpointActionHandler),
        (rf"{api}/endpoints/{_NAME}/promote", PromoteHandler),
        (rf"{api}/endpoints/{_NAME}/shadow", ShadowHandler),
        (rf"{api}/models/{_NAME}/{_NAME}", ModelHandler),
        (rf"{api}/models/{_NAME}/{_NAME}/preflight", PreflightHandler),
        (rf"{api}/alerts/([0-9]{{1,18}})/acknowledge", AlertHandler),
        (rf"{api}/alerts/([0-9]{{1,18}})/silence", SilenceHandler),
        (rf"{api}/agent/(start|stop)", AgentHandler),
        (rf"{api}/.*", UnknownHandler),
    ]


def _status(error: TaxiwayError) -> int:
    for kind, status in ((NotFoundError, 404), (ConflictError, 409), (InputError, 400)):
        if isinstance(error, kind):
            return status
    return 500


_REFUSALS = {
    401: ("You are not signed in to this Jupyter server.", "Reload the page and sign in."),
    403: ("This Jupyter server refused the request.", "Reload the page and sign in again."),
    404: (
        "There is nothing at this path.",
        "The server and the panel may differ in version; reload the page.",
    ),
    405: ("This path does not take that method.", ""),
}


def _sentences(error: BaseException | None, status: int) -> tuple[str, str]:
    if status in _REFUSALS:
        return _REFUSALS[status]
    if isinstance(error, web.HTTPError) and error.log_message:
        return error.log_message, ""
    if error is not None and not isinstance(error, web.HTTPError):
        return f"Taxiway failed unexpectedly: {type(error).__name__}: {error}", SEE_LOG
    return f"The request failed with status {status}.", SEE_LOG
