"""What labelling costs: FLOPs of a recipe, limits of devices, seconds of an actor, estimates."""
