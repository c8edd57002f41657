"""An adapter is trained: batches, steps, state."""
