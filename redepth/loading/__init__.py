"""Labels as data sets for torch: by position, or as a stream that shuffles shard by shard."""

from redepth.loading.datasets import LabelDataset, LabelMaps
from redepth.loading.order import Share, Shuffling
from redepth.loading.samples import Sample

__all__ = ["LabelDataset", "LabelMaps", "Sample", "Share", "Shuffling"]
