"""A candidate beside the live Model: comparison on joined outcomes, and replay of recorded traffic."""
