"""One algorithm a file, with all that is known of it (base.py says what that is)."""
