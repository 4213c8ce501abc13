"""Train a small net on labels, each pixel weighted by its confidence: python THIS_FILE LABELS."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader

import redepth
from redepth.torch_data import LabelDataset, LabelMaps, Sample, Shuffling


def to_tensor(sample: Sample) -> torch.Tensor:
    """Stack photograph, disparity in 0..1 and confidence: [5, 48, 64]."""
    disparity = sample["refined"] - sample["refined"].min()
    disparity = disparity / disparity.max()
    stacked = torch.cat([sample["image"], torch.stack([disparity, sample["confidence"]])])
    return nn.functional.interpolate(stacked[None], (48, 64))[0]


def train(url: str, num_epochs: int = 8, batch_size: int = 4) -> list[float]:
    """Return the mean loss of every epoch."""
    torch.manual_seed(0)
    labels = redepth.open_labels(url).where("outcome = 'refined' and mean_confidence > 0.1")
    maps = LabelMaps(labels, ("refined", "confidence"), images="float32", transform=to_tensor)
    dataset = LabelDataset(maps, batch_size=batch_size, shuffling=Shuffling(seed=0))
    loader = DataLoader(dataset, batch_size, num_workers=2, persistent_workers=True)
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for epoch in range(num_epochs):
        dataset.set_epoch(epoch)
        total = 0.0
        for batch in loader:
            image, disparity, confidence = batch.split([3, 1, 1], dim=1)
            loss = (confidence * (net(image) - disparity).abs()).sum() / confidence.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch) / len(dataset)
        losses.append(total)
        print(f"epoch {epoch}: loss {total:.4f}")
    return losses


if __name__ == "__main__":
    train(sys.argv[1])
