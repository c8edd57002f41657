"""The one error of files that cannot be read or written."""

from lycoris_bench.errors import BenchError


class AdapterFileError(BenchError):
    """A file that is no adapter, or an adapter that cannot be a file: one sentence."""
