"""What each table of a study file is like."""

from pydantic import ConfigDict

# Unknown keys and values of another type ("false" is not false) are refused, and nothing changes.
STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
