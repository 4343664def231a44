"""From one type to another by mixed gradients, beside straight lines."""
