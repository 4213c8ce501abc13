"""Depth that was measured or rendered, to evaluate labels and to train on: a file a data set."""

from __future__ import annotations

from redepth.datasets import (
    diode,
    eth3d,
    hypersim,
    ibims,
    kitti,
    middlebury,
    nyu,
    nyu_labeled,
    scannet,
    scenes,
    seven_scenes,
    sintel,
    tum,
    virtual_kitti,
)
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.registry import DATASETS, Registry

datasets: Registry[DepthDataset] = Registry(
    "data set format",
    DATASETS,
    DepthDataset,
    (
        kitti.KITTI,
        kitti.KITTI_EIGEN_CROP,
        nyu.NYU,
        nyu_labeled.NYU_LABELED,
        nyu_labeled.NYU_LABELED_FROM_1,
        tum.TUM,
        scannet.SCANNET,
        seven_scenes.SEVEN_SCENES,
        eth3d.ETH3D,
        diode.DIODE,
        sintel.SINTEL,
        middlebury.MIDDLEBURY,
        ibims.IBIMS,
        hypersim.HYPERSIM,
        virtual_kitti.VIRTUAL_KITTI_2,
        scenes.SCENES,
    ),
)


def dataset_named(name: str) -> DepthDataset:
    """Return a data set by the name of its format.

    Raises:
        ConfigError: there is none, or its package does not bring what it promises.
    """
    try:
        return datasets[name]
    except ValueError as error:
        raise ConfigError(str(error)) from error
