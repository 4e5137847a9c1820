"""Where state lies and how the parts find each other; read from the environment at each call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from platformdirs import user_data_dir
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from taxiway.errors import InputError

Window = Literal["hour", "day", "week", "month"]


class Settings(BaseSettings):
    """Taxiway's settings; each is read from ``TAXIWAY_<NAME>``.

    Attributes
    ----------
    home
        The folder under which all state lies.
    database_url
        The ledger; SQLite in ``home`` unless another SQLAlchemy URL is given.
    monitor_interval
        Seconds between two monitoring cycles.
    window
        The default window of a new endpoint.
    retention_predictions
        Days that predictions and outcomes are kept; what was found in them is kept for good.
    retention_hours, retention_days
        Days after which windows of an hour are merged into days, and days into weeks.
    agent_lease
        Seconds that an agent which is cut off, or frozen, keeps others from taking over.
    metrics_port
        The port of this machine alone on which the agent serves metrics to Prometheus; 0 is none.
    """

    model_config = SettingsConfigDict(env_prefix="TAXIWAY_", extra="ignore")

    home: Path = Field(default_factory=lambda: Path(user_data_dir("taxiway", appauthor=False)))
    database_url: str = ""
    monitor_interval: float = Field(default=5.0, gt=0)
    window: Window = "hour"
    retention_predictions: int = Field(default=90, ge=1)
    retention_hours: int = Field(default=30, ge=1)
    retention_days: int = Field(default=365, ge=1)
    agent_lease: float = Field(default=30.0, ge=1)
    metrics_port: int = Field(default=0, ge=0, lt=65536)

    @property
    def store(self) -> Path:
        """Models, windows, profiles, executed notebooks and the prediction log."""
        return self.home / "store"

    @property
    def run(self) -> Path:
        """What belongs to running processes: sockets, spools, logs."""
        return self.home / "run"

    @property
    def bentoml_home(self) -> Path:
        """BentoML's store: the user's own if one is named, else one under ``home``."""
        return Path(os.environ.get("BENTOML_HOME") or self.home / "bentoml")

    @property
    def ledger_url(self) -> str:
        """The SQLAlchemy URL of the ledger."""
        return self.database_url or f"sqlite:///{self.home / 'ledger.sqlite'}"


def settings() -> Settings:
    """Read the settings from the environment.

    Raises
    ------
    InputError
        A variable holds what its setting cannot be.
    """
    try:
        values = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "TAXIWAY_" + "_".join(str(part) for part in first["loc"]).upper()
        raise InputError(
            f"{name} cannot be used: {first['msg']}.", hint=f"Unset {name} or mend it."
        ) from error
    values.home = values.home.expanduser().absolute()
    return values
