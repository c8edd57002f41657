"""The colour statistics of ImageNet, by which timm's networks of this package are fed."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
