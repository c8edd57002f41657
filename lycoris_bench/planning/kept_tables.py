"""Which tables of rows are stored whole, by what `metrics/manifest.json` knows of them: the inputs
that they were read under, and the checksums of their files. A table whose content is that of its
last reading is not read as a table again."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lycoris_bench.files.checksum import sha256_once
from lycoris_bench.files.identity import uid
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run import manifest
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import REAL_IMAGES, MetricRow, Source


@dataclass(frozen=True)
class KeptTables:
    """The tables of rows of a plan in a store."""

    plan: Plan
    store: Store

    def has_rows(self, source: Source) -> bool:
        """Whether the rows are stored under the present inputs, with what was stored beside them:
        its parts of image sets, and what it was scored with."""
        files = self._files(source)
        if not files[0].exists():
            return scored_rows.rows(self.plan, self.store, source) is not None
        known, now = self._known(source), self._now(source)
        if known == now:
            return True
        if known[:2] == now[:2] and _lost(files[1:], known[2:], now[2:]):
            return False
        return scored_rows.rows(self.plan, self.store, source) is not None

    def damaged(self) -> list[Path]:
        """The files, read under the present inputs, that have lost their content since, so that
        `has_rows` is false."""
        found: list[Path] = []
        for source in scored_rows.sources(self.plan):
            known, now = self._known(source), self._now(source)
            if known[:1] == now[:1] and not self.has_rows(source):
                found += _lost(self._files(source), known[1:], now[1:])
        return found

    def is_assembled(self) -> bool:
        """Whether the table of all rows holds exactly the rows that are stored now."""
        sources: list[Source] = [*self.plan.study.checkpoints, REAL_IMAGES]
        return self._kept.get("all") == self._of_all() and all(
            self._known(source) == self._now(source) or not self._files(source)[0].exists()
            for source in sources
        )

    def keep(self, scored: Iterable[Source]) -> None:
        """Stores that the tables of these sources are read and joined to the table of all rows."""
        tables = {self._name(source): self._now(source) for source in scored}
        self.store.write(
            self.store.tables, manifest.sealed({"tables": tables, "all": self._of_all()})
        )

    def _known(self, source: Source) -> list[Any]:
        """What `_now` gave when the table was last read; empty where it never was, or by a version
        that compared times."""
        known = self._kept.get("tables", {}).get(self._name(source))
        files = len(self._files(source))
        return known if isinstance(known, list) and len(known) == 1 + files else []

    def _now(self, source: Source) -> list[Any]:
        """The identity of a source's inputs, and the checksum of each of its files."""
        inputs = scored_rows.inputs(self.plan, self.store, source, self._shared)
        return [inputs, *map(sha256_once, self._files(source))]

    def _of_all(self) -> list[Any]:
        whole = self.store.table("metrics")
        known = uid(scored_rows.identities(self.plan), MetricRow.columns())
        return [known, sha256_once(whole), sha256_once(whole.with_suffix(".csv"))]

    def _files(self, source: Source) -> tuple[Path, ...]:
        return self.store.files_of_rows(self.store.branch(source))

    def _name(self, source: Source) -> str:
        return self.store.branch(source).as_posix()

    @cached_property
    def _kept(self) -> dict[str, Any]:
        return manifest.checked(self.store.tables)

    @cached_property
    def _shared(self) -> str:
        return scored_rows.shared_inputs(self.plan, self.store)


def _lost(files: Iterable[Path], known: list[Any], now: list[Any]) -> list[Path]:
    """Those of the files that have lost the content that is known of them."""
    pairs = zip(files, known, now, strict=True)
    return [path for path, before, after in pairs if before and before != after]
