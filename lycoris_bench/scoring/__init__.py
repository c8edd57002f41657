"""From images to the rows of the metric table."""
