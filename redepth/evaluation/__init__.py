"""How good a depth map is, against measured or exact truth."""
