"""Layers: the parts of blocks, with their own width. One family per file; new files are found automatically.

An operation (`nas/operations`) gives whatever width and size its site requests, so it fits an edge of a cell. A layer has its
own width, or that of its input; blocks and hand-designed networks are chains of layers.
"""
