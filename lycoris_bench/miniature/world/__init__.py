"""The renderer of the miniature world: scenes, captions, styles."""
