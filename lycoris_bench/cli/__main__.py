"""`python -m lycoris_bench.cli` is the command `lycoris-bench`."""

from lycoris_bench.cli.main import main

main()
