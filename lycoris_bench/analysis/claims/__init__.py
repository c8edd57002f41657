"""The paper's claims (5.3.2, Table 1, H.3), tested on any metric table.

`declared.py` lists them, `contrasts.py` says which settings a claim varies and finds the pairs of
configurations that differ in nothing else, `matched.py` takes their differences, `interval.py` and
`order.py` say how sure one can be, `judge.py` gives the verdicts and `shown.py` their table."""
