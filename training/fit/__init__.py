"""Batches, losses and the training loop of both tasks."""
