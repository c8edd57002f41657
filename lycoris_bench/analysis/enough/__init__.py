"""How many images, seeds and classes are enough: what part of what a run has drawn would have said,
and what more of it would say."""
