"""Are the cells real? Fidelity, diversity and memorisation beside real cells."""
