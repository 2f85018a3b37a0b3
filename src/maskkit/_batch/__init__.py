"""Batch prediction with Ray."""
