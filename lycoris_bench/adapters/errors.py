"""The one error of files that cannot be read or written."""


class AdapterFileError(ValueError):
    """A file that is no adapter, or an adapter that cannot be a file: one sentence."""
