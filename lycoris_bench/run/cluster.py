"""A Ray cluster: the connection to it, what it has, and which of its machines can do the work."""

import hashlib
import logging
import os
import platform
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.run.mirror import PACKAGE
from lycoris_bench.run.signals import own_handler

INSTALL = "the launcher 'ray' needs the library ray; type: pip install 'lycoris-bench[ray]'"
AUTO = "auto"
PATIENCE = 10.0  # seconds for the cluster to answer
ACCELERATOR = "accelerator_type:"  # Ray's prefix of the kinds of accelerators
EVERYWHERE = frozenset({"CPU", "GPU", "memory", "object_store_memory"})  # nothing to choose by
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # the frame that either side of HTTP/2 begins with
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS  # what Ray speaks at its address


@dataclass(frozen=True)
class Cluster:
    """Which cluster runs the work: that at `address`, "auto" for the one that this machine belongs
    to, None for one of this machine alone, which ends with the command. `require` is a kind of
    accelerator, such as H100, or a resource that the cluster's machines declare: workers run where
    that is. `notes` become sentences on machines that were lost or cannot be used."""

    address: str | None = None
    require: str | None = None
    notes: list[str] = field(default_factory=list, compare=False)

    def connect(self) -> None:
        """BenchError: there is no Ray, no cluster at the address, or not what is required."""
        ray = library()
        if not ray.is_initialized():
            self._look()
            quiet = {}
            if self.address is None:
                quiet = {"include_dashboard": False}
                # Ray 2.60 protects a new cluster by a token, which it would leave in the home
                # folder: every later cluster, of others too, would ask for it.
                os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            try:
                with own_handler():
                    ray.init(
                        address=self.address or "local", log_to_driver=False,
                        logging_level=logging.ERROR, **quiet,
                    )  # fmt: skip
                _silence()
            except Exception as error:  # of many kinds, which differ between versions of Ray
                answers = self.address not in (None, AUTO)
                raise BenchError(self._unreachable(error, answers)) from None
        if self.require is not None and self._required() is None:
            names = (name.removeprefix(ACCELERATOR) for name in self.resources())
            kinds = sorted(n for n in names if n not in EVERYWHERE and not n.startswith("node:"))
            raise BenchError(
                f"no machine of the cluster has '{self.require}'; they have: "
                f"{', '.join(kinds) or 'no kind of accelerator, and no resource of a name'}"
            )

    def _look(self) -> None:
        """BenchError: nothing answers at the address, for which Ray would wait for minutes."""
        if self.address in (None, AUTO):
            return
        host, _, port = str(self.address).rpartition(":")
        if not (host and port.isdigit()) or "/" in host:
            raise BenchError(
                f"the address is '{self.address}'; allowed are: auto, or HOST:PORT of the first "
                "machine of the cluster as 'ray start --head' says it, like 10.0.0.1:6379"
            )
        try:
            with socket.create_connection((host, int(port)), PATIENCE) as there:
                there.sendall(HTTP2)
                answer = there.recv(len(SETTINGS))
        except (OSError, OverflowError) as error:
            raise BenchError(self._unreachable(error)) from None
        if answer[3:4] != SETTINGS[3:4]:
            raise BenchError(
                f"what answers at the address '{self.address}' is no Ray cluster; the address is "
                "the one that 'ray start --head' says on the first machine, like 10.0.0.1:6379"
            )

    def device(self, name: str) -> str:
        """The device of workers: `auto` is CUDA where a machine of the cluster has a GPU.
        BenchError: none has one, or a device is named that only one machine can have."""
        gpus = self.resources().get("GPU", 0)
        if name == "auto":
            return "cuda" if gpus else "cpu"
        if name not in ("cpu", "cuda"):
            raise BenchError(f"device '{name}': on a cluster auto, cpu and cuda are allowed")
        if name == "cuda" and not gpus:
            raise BenchError("no machine of the cluster has a GPU; choose the device 'cpu'")
        return name

    def resources(self) -> Mapping[str, float]:
        """What all machines have together, by Ray's names."""
        found: Mapping[str, float] = library().cluster_resources()
        return found

    def about(self) -> dict[str, Any]:
        """What the record of a command says of the cluster."""
        there = {k: v for k, v in self.resources().items() if not k.startswith("node:")}
        return {"ray": metadata.version("ray"), "address": self.address or "local", **there}

    def needs(self, device: str) -> dict[str, float]:
        """What one worker takes of its machine, by Ray's names."""
        required = {name: 0.001 for name in [self._required()] if name}
        return {"CPU": 1.0, **({"GPU": 1.0} if device == "cuda" else {}), **required}

    def room(self, device: str) -> int:
        """The number of workers that the machines have room for now."""
        there = self.resources()
        needs = self.needs(device).items()
        return int(min(there.get(name, 0) // count for name, count in needs if count >= 1))

    def _required(self) -> str | None:
        """The resource that is required, by Ray's name; None where no machine has it."""
        there = self.resources().keys() - EVERYWHERE
        names = (f"{ACCELERATOR}{self.require}", self.require)
        return next((name for name in names if name and name in there), None)

    def _unreachable(self, error: Exception, answers: bool = False) -> str:
        said = " ".join(str(error).split())
        if self.address is None:
            return f"Ray cannot be started on this machine ({said[:300]})"
        if self.address == AUTO and isinstance(error, ConnectionError):
            said = "this machine belongs to none that is running"
        how = "start one with 'ray start --head', or leave out --address to use this machine"
        if "version" in said.lower():
            how = "each machine needs the same versions of Python and Ray"
        elif answers:
            how = (
                "something answers there; if it is a cluster that asks for a token, set "
                "RAY_AUTH_MODE=token here and wherever 'ray start' is typed, with the token that "
                "'ray get-auth-token' prints on its first machine"
            )
        return f"no cluster can be used at the address '{self.address}' ({said[:300]}); {how}"


def cluster_of(launcher: str, address: str | None, require: str | None) -> Cluster | None:
    """The cluster that the launcher "ray" runs workers on; None for "local". BenchError: what is
    given for a cluster is given without one, or the launcher is unknown."""
    if launcher == "ray":
        return Cluster(address, require)
    if launcher != "local":
        raise BenchError(unknown("launcher", launcher, ["local", "ray"]))
    if address is not None or require is not None:
        given = "an address" if address is not None else "what machines have to have"
        raise BenchError(f"{given} is given for the launcher 'local'; add --launcher ray")
    return None


def library() -> Any:
    """Ray. BenchError: it is not installed."""
    try:
        import ray
    except ImportError:
        raise BenchError(INSTALL) from None
    return ray


def _silence() -> None:
    """Ray prints on stdout, among the results of this program, what it has to say of machines that
    are lost; `notes` says it in a sentence."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


@dataclass(frozen=True)
class About:
    """A worker's machine, as far as it matters for what it computes."""

    host: str
    version: str  # of this program
    source: str  # a hash of its source
    node: str = ""  # its name in the cluster

    @classmethod
    def here(cls, node: str = "") -> "About":
        return cls(platform.node(), metadata.version("lycoris-bench"), _source(), node)

    def unlike(self, other: "About") -> str | None:
        """Why work for `other` cannot be done here, as a sentence; None: it can."""
        if self.source == other.source:
            return None
        which = f"{self.version}, here it is {other.version}"
        if self.version == other.version:
            which = f"{self.version} with other source than here"
        return f"{self.host} has lycoris-bench {which}; install the same on each machine"


@cache
def _source() -> str:
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]
