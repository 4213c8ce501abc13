"""Depth maps as latents of a diffusion model: what training and inference of refiners share.

Maps in a frame of about [-1, 1], a VAE's codec for pictures and maps, a UNet that takes several
latents at once, and the folder all of it is saved in.
"""
