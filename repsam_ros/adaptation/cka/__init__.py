"""Centered kernel alignment of an image encoder's blocks: how far each is moved by a new domain."""
