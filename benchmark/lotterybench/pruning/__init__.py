"""Pruning: which weights may go, scores that rank them, masks, rounds of training, controls."""
