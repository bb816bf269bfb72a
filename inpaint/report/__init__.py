"""The report: one HTML page of an evaluation, its captions, plots and training curve."""
