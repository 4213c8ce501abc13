"""Posed photographs with sparse points, as structure from motion or a LiDAR leaves them."""
