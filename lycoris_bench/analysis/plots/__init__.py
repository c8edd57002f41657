"""The report's pictures, one figure a file: a table in, SVG bytes out. Each is drawn for the width
of a phone (about 4 inches), so that its words can be read there; colour is the algorithm."""
