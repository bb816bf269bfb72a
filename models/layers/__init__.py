"""Layers: what runs over whole maps, and the twins that run step by step while a center is drawn."""
