"""What a trained denoiser adds to Gaussians in the same latent, by number of cells."""
