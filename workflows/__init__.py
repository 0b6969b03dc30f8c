"""What happens, in order; deterministic."""
