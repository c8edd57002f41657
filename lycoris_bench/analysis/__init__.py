"""Scores become answers: ranks, means, attribution, correlation, findings and a report.

One idea a file, each a function from table to table; `run.analyze_tables` calls them all."""
