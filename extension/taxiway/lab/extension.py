"""The Jupyter Server extension behind the JupyterLab panel; imports nothing heavy at start-up."""

from __future__ import annotations

from jupyter_server.extension.application import ExtensionApp
from traitlets import Float

from taxiway.lab.feed import OverviewFeed
from taxiway.lab.handlers import routes
from taxiway.lab.service import Service


class TaxiwayExtension(ExtensionApp):
    """Serves ``<base_url>taxiway/api/``; owns nothing that must outlive Jupyter."""

    name = "taxiway"

    poll_seconds = Float(
        1.0, min=0.05, help="Seconds between two looks at the ledger while somebody watches."
    ).tag(config=True)

    def initialize_settings(self) -> None:
        """Create the service and the feed that all handlers share."""
        service = Service()
        self.settings["taxiway_service"] = service
        self.settings["taxiway_feed"] = OverviewFeed(service, self.poll_seconds)

    def initialize_handlers(self) -> None:
        """Mount the routes."""
        self.handlers.extend(routes())

    async def stop_extension(self) -> None:
        """End the open event streams and the preflights, then let the worker threads go."""
        feed: OverviewFeed = self.settings["taxiway_feed"]
        service: Service = self.settings["taxiway_service"]
        await feed.close()
        await service.close()
