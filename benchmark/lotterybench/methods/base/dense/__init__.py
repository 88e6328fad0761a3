"""Dense tasks: detection and segmentation by a small head on an encoder's grid of features.

`composed` and `voc` make labelled scenes, `detection` and `segmentation` learn them, and
`average_precision` says how well.
"""
