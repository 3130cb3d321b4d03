"""Layers: what stands inside a block and keeps a width of its own. One file a family, found by itself.

An operation (`nas/operations`) gives whatever width and size its site asks for, so it may stand on an edge of a cell. A
layer has a width of its own, or that of what comes in; blocks and networks made by hand are chains of layers.
"""
