"""The paper's claims (5.3.2, Table 1, H.3), tested on any metric table.

`claims.py` lists them, `contrasts.py` says which setting a claim varies and finds the pairs of
configurations that differ in nothing else, `differences.py` takes the differences of their scores
from the arrays of `grid.py`, `significance.py` their p-values, `verdicts.py` judges each claim,
`families.py` all of them together, and `table.py` lays them out."""
