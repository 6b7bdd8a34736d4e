"""Generated aerial terrain: labelled tiles, and flights whose true classes are known.

Everything here is drawn by a program, from a seed; none of it is a photograph.
"""
