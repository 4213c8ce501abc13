"""What is trained on: rendered scenes, and photographs with coarse maps."""
