"""What lies behind `analysis/compare.py`: errors over seeds and classes, many tests at once, the
permutation test, the winner's curse, the Pareto front, and what a study of a size can show."""
