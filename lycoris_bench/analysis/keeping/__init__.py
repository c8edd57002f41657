"""Which of the checkpoints that others trained to keep, and at which strength."""
