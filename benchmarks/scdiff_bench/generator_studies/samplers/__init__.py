"""Quality against steps, for each sampler; cells led to noise and back."""
