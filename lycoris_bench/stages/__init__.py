"""The four stages of a study, side by side."""
