"""What each study computes, one module per study."""
