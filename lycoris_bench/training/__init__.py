"""Training an adapter: batches, steps, state."""
