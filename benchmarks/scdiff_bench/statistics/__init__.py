"""Comparisons of strategies: intervals, ranks, probabilities, what is clear and what is not."""
