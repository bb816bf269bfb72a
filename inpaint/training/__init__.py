"""Training: the loop, a run's life, batches and the processes that prepare them, the optimizer, the log."""
