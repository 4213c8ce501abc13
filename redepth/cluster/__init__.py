"""Where the work runs: Ray actors that hold the models, and the pool that keeps them busy."""
