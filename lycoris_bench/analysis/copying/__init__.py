"""Whether checkpoints copy training images: `rates.py` holds their copy rates to that of held-out
images, `pairs.py` chooses the pairs that a report shows, and `pair_images.py` makes thumbnails."""
