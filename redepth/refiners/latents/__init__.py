"""Depth maps as latents of a diffusion model: what the trained refiners share.

Maps normalised to about [-1, 1], a VAE's codec for pictures and maps, a UNet that takes several
latents side by side, the pipeline that holds all of it, and how a folder of it is read.
"""
