"""What the handlers ask for, answered by ``taxiway.control`` in worker threads.

``taxiway.control`` is imported on the first call, in a thread, so that neither Jupyter's start nor
its event loop waits for pandas or SQLAlchemy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import cast

from taxiway.lab.preflights import Preflights
from taxiway.lab.reader import ProfileReader

_VIEWS = "taxiway.control.views"
_API = "taxiway.control.api"
_AGENT = "taxiway.control.agent_process"


class Service:
    """The control plane, awaitable.

    Every method raises what ``taxiway.control`` raises: a ``TaxiwayError`` for what is expected.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="taxiway-lab")
        self._preflights = Preflights()
        self._reader = ProfileReader()

    async def close(self) -> None:
        """End the preflights and the reader; what the threads do is finished, what waits is dropped."""
        await self._preflights.close()
        await self._reader.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def overview(self) -> object:
        """Return everything that the panel shows."""
        return await self._call(_VIEWS, "overview")

    async def metrics(self) -> bytes:
        """Return alerts, drift and performance in the Prometheus text format."""
        return bytes(cast(bytes, await self._call("taxiway.control.exposition", "rendered")))

    async def change_token(self) -> str:
        """Return a text that differs whenever the overview may differ."""
        return str(await self._call(_VIEWS, "change_token"))

    async def endpoint(self, name: str) -> object:
        """Return one endpoint with its windows, schema changes, alerts, timeline and shadow report."""
        return await self._call(_VIEWS, "endpoint_detail", name)

    async def column(self, endpoint: str, column: str, window: str | None, model: str | None) -> object:
        """Return one column of an endpoint: its distribution in a window over the reference."""
        return await self._reader.ask("column", endpoint=endpoint, column=column, window=window, model=model)

    async def column_history(self, endpoint: str, column: str) -> object:
        """Return one column of an endpoint: its quantiles or shares in every window."""
        return await self._reader.ask("history", endpoint=endpoint, column=column)

    async def prepare_profiles(self) -> None:
        """Start what reads profiles."""
        await self._reader.ask("ready")

    async def profile(self, path: str, name: str) -> object:
        """Return what is in a profile; ``name`` is what the file is called in an error."""
        return await self._reader.ask("profile", path=path, name=name)

    async def comparison(self, left: str, left_name: str, right: str, right_name: str) -> object:
        """Return two profiles side by side; ``left`` may be ``model:NAME:VERSION``: its reference."""
        return await self._reader.ask(
            "comparison", left=left, left_name=left_name, right=right, right_name=right_name
        )

    async def model(self, name: str, version: str) -> object:
        """Return one Model with its preflight, signature, parity, environment and lineage."""
        return await self._call(_VIEWS, "model_detail", name, version)

    async def preflight(self, name: str, version: str) -> object:
        """Return how far the last preflight of a Model that was started here is."""
        return self._preflights.look(f"{name}:{version}")

    async def start_preflight(self, name: str, version: str) -> object:
        """Start a preflight of a Model, or join the one that runs."""
        await self._call(_VIEWS, "model_detail", name, version)  # raises what is wrong with the Model
        return await self._preflights.start(f"{name}:{version}")

    async def cancel_preflight(self, name: str, version: str) -> object:
        """End the preflight of a Model, if one runs."""
        return await self._preflights.cancel(f"{name}:{version}")

    async def promote(self, endpoint: str, *, force: bool = False) -> None:
        """Make the shadow live; with ``force`` against the verdict too."""
        await self._call(_API, "promote", endpoint, force=force)

    async def rollback(self, endpoint: str) -> None:
        """Make the Model that was live before live again."""
        await self._call(_API, "rollback", endpoint)

    async def start_shadow(self, endpoint: str, tag: str) -> None:
        """Send a copy of the live traffic to the Model ``tag``."""
        await self._call(_API, "start_shadow", endpoint, tag)

    async def stop_shadow(self, endpoint: str) -> None:
        """Stop the shadow."""
        await self._call(_API, "stop_shadow", endpoint)

    async def acknowledge(self, alert: int) -> None:
        """Mark an alert as seen."""
        await self._call(_API, "acknowledge", alert)

    async def silence(self, alert: int, seconds: float) -> None:
        """Tell nobody of an alert for so long."""
        await self._call(_API, "silence_alert", alert, seconds=seconds)

    async def unsilence(self, alert: int) -> None:
        """End the silences of an alert alone."""
        await self._call(_API, "unsilence_alert", alert)

    async def start_agent(self) -> None:
        """Start the agent."""
        await self._call(_AGENT, "start")

    async def stop_agent(self) -> None:
        """Stop the agent."""
        await self._call(_AGENT, "stop")

    async def _call(self, module: str, name: str, *arguments: str | int, **options: float) -> object:
        def call() -> object:
            function = cast("Callable[..., object]", getattr(import_module(module), name))
            return function(*arguments, **options)

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
