"""Segment anything in napari with one pass of the network."""
