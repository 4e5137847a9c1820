"""The JSON that bentoml's client reads: every key without a default is present, null if need be."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

ORGANIZATION = "emulated"
CLUSTERS = ("emulated-us-1", "emulated-eu-1")
NAMESPACE = "emulated-deployments"

_COUNT = 10

Json = dict[str, Any]


def now() -> str:
    """The time as BentoCloud writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Resource:
    """What everything at BentoCloud has."""

    name: str
    resource_type: str
    labels: list[dict[str, str]] = field(default_factory=list)
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)

    def base(self) -> Json:
        """The fields that every answer about it begins with."""
        return {
            "uid": self.uid,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "deleted_at": None,
            "name": self.name,
            "resource_type": self.resource_type,
            "labels": list(self.labels),
        }


USER: Json = {"name": "tester", "email": "tester@example.com", "first_name": "Emu", "last_name": "Lated"}
_ORGANIZATION = Resource(ORGANIZATION, "organization")
_CLUSTERS = {name: Resource(name, "cluster") for name in CLUSTERS}

#: Instance types: name, processors, memory, GPUs, dollars an hour.
_INSTANCES = (
    ("cpu.1", "500m", "2Gi", "", "0.0484"),
    ("cpu.2", "1000m", "2Gi", "", "0.0884"),
    ("cpu.4", "2000m", "8Gi", "", "0.1937"),
    ("gpu.t4.1", "4000m", "16Gi", "1", "0.7500"),
)
INSTANCE_TYPES = tuple(row[0] for row in _INSTANCES)


def organization() -> Json:
    """The only one."""
    return {**_ORGANIZATION.base(), "description": ""}


def cluster(name: str) -> Json:
    """One of :data:`CLUSTERS`, of which the first is the default."""
    return {
        **_CLUSTERS[name].base(),
        "description": "",
        "organization_name": ORGANIZATION,
        "creator": USER,
        "is_first": name == CLUSTERS[0],
    }


def instance_types() -> list[Json]:
    """What a service can run on."""
    found = []
    for name, cpu, memory, gpu, price in _INSTANCES:
        amount = {"cpu": cpu, "memory": memory, "gpu": gpu, "custom": None}
        config = {
            "group": "gpu" if gpu else "cpu",
            "resources": {"requests": amount, "limits": amount},
            "price": price,
            "node_selectors": {},
            "gpu_config": {"type": "nvidia-tesla-t4", "memory": "16Gi"} if gpu else None,
        }
        base = Resource(name, "resource_instance").base()
        found.append({**base, "display_name": name, "description": f"{cpu} {memory}", "config": config})
    return found


def page(items: Sequence[Mapping[str, Any]], request: Request) -> Json:
    """The part of a list that ``start`` and ``count`` ask for; ``total`` says how many there are."""
    asked = request.query_params
    start, count = int(asked.get("start") or 0), int(asked.get("count") or _COUNT)
    if search := asked.get("search"):
        items = [item for item in items if search in str(item["name"])]
    chosen = list(items[start : start + count])
    return {"start": start, "count": count, "total": len(items), "items": chosen}
