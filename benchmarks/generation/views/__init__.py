"""What each study shows, one module per study, of the same name as the one that computes."""
