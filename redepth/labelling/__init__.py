"""One image, from its reference to its label: nothing of Prefect, Ray or the store."""
