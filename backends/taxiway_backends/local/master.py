"""``python -m taxiway_backends.local.master DIR``: keeps one endpoint as its spec says.

It binds the port and holds the socket open, so that a connection finds it even while no serving process
lives; starts them, switches between them without a refused connection, and starts them again when they
die. It wakes on SIGHUP (the spec has changed), SIGCHLD and the serving processes' events, and looks at
the spec now and then in any case. SIGTERM stops the endpoint.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil

from taxiway.errors import CorruptionError
from taxiway_backends.local.baking import Baking
from taxiway_backends.local.listening import listen
from taxiway_backends.local.log import bound_log
from taxiway_backends.local.orphans import Orphan, find_orphans, inherit_listener, remove_sockets
from taxiway_backends.local.pool import Pool, starter
from taxiway_backends.local.rundir import RunDir
from taxiway_backends.local.spec import ModelEntry, Spec
from taxiway_backends.local.state import describe_state
from taxiway_backends.local.wake import Wake
from taxiway_backends.local.worker import LEAVE_SECONDS, Definition

LOCK_SECONDS = 5.0
STOP_DRAIN_SECONDS = 2.0
STOP_SECONDS = 6.0
#: Deaths in a row within the bake time after which a Model is taken back.
CRASHES = 2

_log = logging.getLogger("taxiway.local")


class Master:
    """Reconciles the serving processes of one endpoint with its spec.

    Parameters
    ----------
    directory
        The endpoint's folder.
    spec
        What should run now.
    """

    def __init__(self, directory: RunDir, spec: Spec) -> None:
        self.directory = directory
        self.spec = spec
        self.serving: Pool | None = None
        self.incoming: Pool | None = None
        self.aside: Pool | None = None
        self.shadow: Pool | None = None
        self.leaving: list[Pool] = []
        self.orphans: list[Orphan] = find_orphans(directory.spool)
        self._orphans_leave_by = float("inf")
        for orphan in self.orphans:
            if orphan.role == "shadow":
                orphan.send(signal.SIGKILL)
        for path in directory.path.glob("shadow-*.sock"):  # of a shadow that went with its master
            path.unlink(missing_ok=True)
        self._listener = inherit_listener(self.orphans) or listen(spec)
        self._start = starter(directory, self._listener)
        self.baking = Baking(directory)
        self._tls_changed = 0.0
        self._mirror = ""
        self._create_time = psutil.Process().create_time()
        self._written: dict[str, object] = {}

    def reconcile(self) -> None:
        """Take one step towards the spec, and write down where that leads."""
        self._reconcile_live()
        self._bake()
        self._reconcile_shadow()
        for pool in self.leaving:
            pool.tick()
        self.leaving = [pool for pool in self.leaving if pool.workers]
        alive = [orphan for orphan in self.orphans if orphan.alive]
        if len(alive) < len(self.orphans) or not self._written:
            remove_sockets(self.directory.path, alive)
        self.orphans = alive
        if time.monotonic() > self._orphans_leave_by:
            for orphan in alive:  # it hangs, and would keep its connections waiting for ever
                orphan.send(signal.SIGKILL)
        self._write_status()
        bound_log(self.directory.log)

    def _reconcile_live(self) -> None:
        self._look_at_tls()
        wanted = self._definition("live", self.baking.live(self.spec))
        if self.serving is not None:
            self.serving.tick()
            self.serving.accept()
        if self.serving is not None and self.serving.definition == wanted:
            self.serving.size = self.spec.workers
            self._retire(self.incoming)
            self.incoming = None
            return
        if self.incoming is None or self.incoming.definition != wanted:
            self._retire(self.incoming)
            self.incoming = self._taken_from_aside(wanted) or Pool(wanted, self.spec.workers, self._start)
        self.incoming.tick()
        if self.spec.bake is not None and self.serving is not None:
            self.serving.measure()
        if self.incoming.prepared:
            self.incoming.direct_mirror(self._mirror)
            self.incoming.accept()
        if self.incoming.complete:
            self._switch(self.incoming)

    def _taken_from_aside(self, wanted: Definition) -> Pool | None:
        if self.aside is None or self.aside.definition != wanted:
            return None
        pool, self.aside = self.aside, None
        pool.size = self.spec.workers
        return pool

    def _switch(self, new: Pool) -> None:
        """Give the traffic to a pool that accepts; what served before goes, or is kept for the bake."""
        _log.info("%s is live", new.definition.model.tag)
        if self.orphans and self._orphans_leave_by == float("inf"):  # told twice, they would not drain
            self._orphans_leave_by = time.monotonic() + new.definition.drain_seconds + LEAVE_SECONDS
            for orphan in self.orphans:
                orphan.send(signal.SIGTERM)
        old, self.serving, self.incoming = self.serving, new, None
        bake = self.spec.bake
        if old is None or old.definition.model == new.definition.model:
            self._retire(old)
            return
        self._retire(self.aside)
        self.aside = None
        if bake is None or new.proven or not old.accepting:
            self._retire(old)
            return
        old.pause()
        self.aside = old
        self.baking.begin(new.definition.model, old.definition.model, bake, old.totals)

    def _bake(self) -> None:
        """Watch the new live Model, with the one before it kept ready to serve again."""
        watch, bake = self.baking.watching, self.spec.bake
        if watch is None or bake is None:
            self._retire(self.aside)
            self.aside = None
            return
        if self.serving is None or self.serving.definition.model != watch.model:
            return
        if self.aside is None:
            self.aside = Pool(self._definition("live", watch.before), self.spec.workers, self._start)
            self.aside.proven = True
        self.aside.tick()
        self.serving.measure()
        crashes = ""
        if self.serving.failures >= CRASHES:
            crashes = f"it does not stay up: {self.serving.reason.rstrip('.')}"
        if fault := self.baking.judge(self.serving.totals, bake, crashes):
            _log.error("%s", fault)
            self._reconcile_live()
        elif not self.baking.left(bake):
            _log.info("%s has stood its bake time", watch.model.tag)
            self.baking.end()

    def _reconcile_shadow(self) -> None:
        wanted = None if self.spec.shadow is None else self._definition("shadow", self.spec.shadow)
        if self.shadow is not None and self.shadow.definition != wanted:
            self._retire(self.shadow)
            self.shadow = None
            self._mirror = ""
        if wanted is not None:
            self.shadow = self.shadow or Pool(wanted, 1, self._start)
            self.shadow.tick()
            self.shadow.accept()
            for worker in self.shadow.accepting:
                # Where none accepts, the mirror goes on to the old path, and what is lost is counted.
                self._mirror = worker.uds
        if self.serving is not None:
            self.serving.direct_mirror(self._mirror)

    def _definition(self, role: str, model: ModelEntry) -> Definition:
        spec = self.spec
        return Definition(
            role,
            model,
            tuple(sorted(spec.policies.items())),
            spec.drain_seconds,
            spec.limits,
            spec.device,
            spec.token_hash,
            (spec.certificate, spec.key, self._tls_changed) if spec.certificate else None,
        )

    def _look_at_tls(self) -> None:
        """Notice that a certificate was renewed: serving processes with the new one take over then."""
        if self.spec.certificate:
            with contextlib.suppress(OSError):  # a file that is being replaced is looked at again
                files = (self.spec.certificate, self.spec.key)
                self._tls_changed = max(Path(file).stat().st_mtime for file in files)

    def _retire(self, pool: Pool | None) -> None:
        if pool is not None:
            pool.stop(pool.definition.drain_seconds)
            self.leaving.append(pool)

    def _write_status(self) -> None:
        state = describe_state(self)
        content: dict[str, object] = {
            **state,
            "pid": os.getpid(),
            "create_time": self._create_time,
        }
        if content != self._written:
            if self._written.get("status") != content["status"]:
                _log.info("%s %s", content["status"], content["reason"])
            self._written = content
            # Where the folder was removed, the next look at the spec ends this process.
            with contextlib.suppress(FileNotFoundError):
                self.directory.write_status({**content, "updated": time.time()})

    @property
    def lines(self) -> list[socket.socket]:
        """The lines to the serving processes that may have something to say."""
        pools = [self.serving, self.incoming, self.aside, self.shadow, *self.leaving]
        return [worker.line for pool in pools if pool for worker in pool.workers if worker.line.fileno() >= 0]

    def stop(self) -> None:
        """Let every serving process go, for a short while gracefully."""
        pools = [pool for pool in (self.serving, self.incoming, self.aside, self.shadow) if pool is not None]
        for pool in [*pools, *self.leaving]:
            pool.stop(STOP_DRAIN_SECONDS)
        for orphan in self.orphans:
            orphan.send(signal.SIGTERM)
        self.leaving += pools
        self._listener.close()
        if self.spec.uds:
            Path(self.spec.uds).unlink(missing_ok=True)
        deadline = time.monotonic() + STOP_SECONDS
        while self._anyone_left() and time.monotonic() < deadline:
            time.sleep(0.02)
        for pool in self.leaving:
            pool.kill()
        for orphan in self.orphans:
            orphan.send(signal.SIGKILL)
        while self._anyone_left():
            time.sleep(0.02)

    def _anyone_left(self) -> bool:
        for pool in self.leaving:
            pool.tick()
        return any(pool.workers for pool in self.leaving) or any(orphan.alive for orphan in self.orphans)


def run(directory: RunDir) -> int:
    """Be the master of an endpoint until it is stopped."""
    wake = Wake()  # before the lock: who finds that held may send a signal
    deadline = time.monotonic() + LOCK_SECONDS
    while directory.try_lock() is None:
        if time.monotonic() > deadline:
            return 0
        time.sleep(0.05)
    master: Master | None = None
    while not wake.terminated:
        try:
            spec = directory.read_spec()
        except CorruptionError as error:
            _log.error("%s", error)
            spec = master.spec if master else None
        if spec is None or spec.wanted != "running":
            break
        master = master or _begin(directory, spec)
        if master is not None:
            master.spec = spec
            _step(master)
        wake.sleep([] if master is None else master.lines)
    if master is not None:
        master.stop()
    _log.info("stopped")
    with contextlib.suppress(OSError):
        (directory.path / "status.json").unlink(missing_ok=True)
    # The lock is held until the process has ended, so that who waits for it finds nothing left.
    return 0


def _begin(directory: RunDir, spec: Spec) -> Master | None:
    """Take up the endpoint; where its port is taken, say so, and let it be tried again."""
    try:
        master = Master(directory, spec)
    except OSError as error:
        where = spec.uds or f"Port {spec.port} of {spec.host}"
        reason = f"{where} cannot be listened on: {error.strerror or error}."
        if directory.read_status().get("reason") != reason:
            _log.error("%s", reason)
        status = {"status": "FAILED", "reason": reason, "url": spec.url, "port": spec.port}
        status |= {"live": None, "shadow": None, "workers": [], "revision": spec.revision}
        directory.write_status(status | {"pid": os.getpid(), "updated": time.time()})
        return None
    _log.info("master of %s", spec.url)
    return master


def _step(master: Master) -> None:
    try:
        master.reconcile()
    except Exception:  # noqa: BLE001 - whatever it was, the serving processes must not lose their master
        _log.exception("a step failed")


def be(directory: RunDir) -> int:
    """Make this process the master of an endpoint, until that is stopped."""
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s.%(msecs)03dZ master[{os.getpid()}] %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    logging.Formatter.converter = time.gmtime
    os.umask(0o077)
    os.chdir(directory.path)
    return run(directory)


if __name__ == "__main__":
    sys.exit(be(RunDir(Path(sys.argv[1]))))
