"""Evaluation: scoring, the figures of every image, their statistics, two models side by side."""
