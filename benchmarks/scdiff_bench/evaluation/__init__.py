"""Which cells train and test, how predictions are scored, and guards against leakage."""
