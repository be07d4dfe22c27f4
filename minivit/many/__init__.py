"""Many images: the answers, representations and attention of a folder of them, on one machine or on a cluster.

`sources` names the images, `rows` makes a batch of them into rows, `here` and `cluster` are the two ways of working
through all batches, `parts` and `formats` write what comes of it, and `embedding` is the way in.
"""
