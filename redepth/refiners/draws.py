"""Generators of the random draws of refiners, from (recipe seed, image id, member, step) alone.

No global generator is touched, so an image's label does not depend on its neighbours, its batch,
its actor, or on a resume. Draws are made on the CPU: a GPU run sees the same ones.
"""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, image_id: str, member: int, step: int) -> torch.Generator:
    """Return a CPU generator seeded by a digest of where we are."""
    place = f"{seed}\x1f{image_id}\x1f{member}\x1f{step}".encode()
    digest = hashlib.sha256(place).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
