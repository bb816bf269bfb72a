"""Training: the loop, run folders and resuming, batches and their workers, the optimizer, the log."""
