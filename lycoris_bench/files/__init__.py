"""Files read and written whole, with checksums."""
