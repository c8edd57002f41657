"""`adapter convert`: an adapter as other programs read it, or baked into plain differences."""
