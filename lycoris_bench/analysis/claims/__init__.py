"""The paper's claims (5.3.2, Table 1, H.3), tested on any metric table.

`claims.py` lists them, `contrasts.py` says which setting a claim varies and finds the pairs of
configurations that differ in nothing else, `pairs.py` takes the differences of their scores,
`interval.py` their intervals, `verdicts.py` gives the verdicts and `table.py` lays them out."""
