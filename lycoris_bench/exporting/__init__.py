"""Results of runs for others: a model card's numbers, a leaderboard."""
