"""Retraining: a parameterised notebook, run by papermill in a process of its own."""
