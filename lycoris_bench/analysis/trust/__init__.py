"""How far a metric can be trusted, where the truth is known: the miniature world's metrics of the
truth (`scoring/metrics/truths.py`) against all others. `truths.py` says which asks what; `cells.py`
lays their numbers side by side; `agreement.py`, `misled.py` and `choices.py` compare them."""
