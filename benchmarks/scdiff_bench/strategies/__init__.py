"""What is done about imbalance: ``catalogue`` lists the strategies; add one there."""
