"""What stands for places that cannot be reached from a test."""
