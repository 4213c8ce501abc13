"""What every training shares: the loop, checkpoints and resume, workers, random draws, cards."""
