"""How parts of an image set are called in the tables of parts; a part that is one image has the
image's own name."""

HALVES = ("first half", "second half")
WITHOUT = "without "  # before an image's name: all images but that one
