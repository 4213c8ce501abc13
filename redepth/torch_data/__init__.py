"""Labels as data sets for torch: by position, or as a stream that shuffles shard by shard."""

from redepth.torch_data.datasets import LabelDataset, LabelMaps
from redepth.torch_data.order import Share, Shuffling
from redepth.torch_data.samples import Sample

__all__ = ["LabelDataset", "LabelMaps", "Sample", "Share", "Shuffling"]
