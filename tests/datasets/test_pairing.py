"""Which ground truth belongs to which photograph, and what contradicts or could be meant."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.datasets.depth_file import DepthFile
from redepth.datasets.ground_truth import GroundTruth, Size
from redepth.datasets.names import agreement
from redepth.datasets.pairing import Pairing, pair, reasons

ROOT = Path("/truth")


def unread(path: Path, image_hw: Size) -> GroundTruth:
    raise AssertionError("pairing reads no file")


def file(name: str, root: Path = ROOT) -> DepthFile:
    return DepthFile(name, root / f"{name}.png", unread, root=root)


def stated(name: str, photograph: str, root: Path = ROOT, by_list: bool = False) -> DepthFile:
    path = root / f"{name}.png"
    return DepthFile(photograph[:-4], path, unread, photograph, root, is_stated=by_list)


def found_names(found: Pairing) -> dict[str, str]:
    return {image_id: file.name for image_id, file in found.pairs.items()}


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/photos/kitchen/00012.jpg", "kitchen/00012"),
        ("/photos/rgb_00012.jpg", "sync_depth_00012"),
        ("/photos/1.png", "1_depth"),
        ("s3://bucket/scene/color/7.jpg", "scene/depth/7"),
        ("/photos/1305031102.175304.png", "rgb/1305031102.175304"),
        ("/photos/cones/im2.png", "cones/im2"),
    ],
)
def test_one_photograph_and_one_file_of_a_name_are_a_pair(uri: str, name: str) -> None:
    found = pair({"a": uri, "b": "/photos/other.png"}, [file(name), file("unused")])
    assert {i: f.name for i, f in found.pairs.items()} == {"a": name}
    assert (found.unmatched, found.num_unused) == (("b",), 1)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        # KITTI raw data and the annotated depth, with and without the part's folder.
        (
            "/kitti/raw/2011_09_26/2011_09_26_drive_0009_sync/image_02/data/0000000005.png",
            "val/2011_09_26_drive_0009_sync/proj_depth/groundtruth/image_02/0000000005",
        ),
        (
            "/kitti/2011_09_26_drive_0009_sync/image_02/data/0000000005.png",
            "2011_09_26_drive_0009_sync/proj_depth/groundtruth/image_02/0000000005",
        ),
        # KITTI's selection for validation: the drive is in the name.
        (
            "/k/val_selection_cropped/image/"
            "2011_09_26_drive_0002_sync_image_0000000005_image_02.png",
            "val_selection_cropped/groundtruth_depth/"
            "2011_09_26_drive_0002_sync_groundtruth_depth_0000000005_image_02",
        ),
        ("/nyu/test/bathroom/rgb_00045.jpg", "test/bathroom/sync_depth_00045"),
        ("/nyu/bathroom/rgb_00045.jpg", "test/bathroom/sync_depth_00045"),
        ("/nyu/nyu2_test/00001_colors.png", "nyu2_test/00001_depth"),
        ("/7scenes/chess/seq-01/frame-000000.color.png", "chess/seq-01/frame-000000.depth"),
        ("/mine/chess/seq-01/frame-000000.color.jpg", "chess/seq-01/frame-000000.depth"),
        ("/scans/scene0000_00/color/7.jpg", "scene0000_00/depth/7"),
        (
            "/eth3d/courtyard/images/dslr_images/DSC_1.JPG",
            "courtyard/ground_truth_depth/dslr_images/DSC_1",
        ),
        ("/diode/indoors/scene_00019/scan_00183/0_1.png", "indoors/scene_00019/scan_00183/0_1"),
        ("/sintel/training/final/alley_1/frame_0001.png", "training/depth/alley_1/frame_0001"),
        ("/mb/trainingF/Motorcycle/im0.png", "Motorcycle/im0"),
        ("/ibims/rgb/corridor_01.png", "depth/corridor_01"),
        ("/a/left/0001.png", "left/disparity/0001"),
        ("/a/nyu_images/kitchen/1.jpg", "nyu_depths/kitchen/1"),
        ("zip://kitchen/rgb_1.jpg::/data/nyu.zip", "kitchen/depth_1"),
        ("tar://rgb_1.jpg::file:///data/kitchen.tar", "kitchen/depth_1"),
        ("https://example.org/kitchen/rgb_1.jpg?size=large", "kitchen/depth_1"),
        ("/photos/00045.jpg", "45"),
        ("kitchen/7.jpg", "laser/kitchen/7"),
    ],
)
def test_layouts_that_people_have(uri: str, name: str) -> None:
    assert found_names(pair({"a": uri}, [file(name)])) == {"a": name}


CONTRADICTIONS = [
    ("/photos/scene0000/color/7.jpg", "scene0777/depth/7"),
    (
        "/raw/2011_09_26/2011_09_26_drive_0009_sync/image_02/data/0000000005.png",
        "2011_09_26_drive_0013_sync/proj_depth/groundtruth/image_02/0000000005",
    ),
    (
        "/raw/2011_09_26_drive_0009_sync/image_02/data/5.png",
        "2011_09_26_drive_0009_sync/proj_depth/groundtruth/image_03/5",
    ),
    ("/photos/kitchen/7.jpg", "bedroom/7"),
    ("/photos/kitchen/cam1/7.jpg", "bedroom/cam1/7"),
    ("/photos/kitchen/cam1/7.jpg", "kitchen/cam2/7"),
    ("/photos/left/7.jpg", "right/7"),
    ("/photos/kitchen/7.jpg", "kitchen/seq-02/7"),
    ("/photos/kitchen/bedroom/7.jpg", "bedroom/seq-02/7"),
    ("/nyu/test/0001_colors.png", "train/0001_depth"),
    ("/7scenes/chess/seq-01/frame-000000.color.png", "chess/seq-02/frame-000000.depth"),
    ("zip://kitchen/rgb_1.jpg::/data/nyu.zip", "bedroom/depth_1"),
]


@pytest.mark.parametrize(("uri", "name"), CONTRADICTIONS)
def test_a_name_that_both_sides_have_once_is_no_pair_where_folders_contradict(
    uri: str, name: str
) -> None:
    uris = {"a": uri}
    found = pair(uris, [file(name)])
    assert not found.pairs
    assert (found.unmatched, found.num_unused) == (("a",), 1)
    assert found.contradicting["a"].name == name
    said = reasons(found, uris, 5)
    assert uri in said
    assert f"/truth/{name}.png" in said


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("/scans/scene0000/color/7.jpg", "/scans/scene0777/depth"),
        (
            "/kitti/raw/2011_09_26_drive_0009_sync/image_02/data/7.png",
            "/kitti/val/2011_09_26_drive_0013_sync/proj_depth/groundtruth/image_02",
        ),
        ("/kitti/drive_0009/image_02/data/7.png", "/kitti/drive_0009/groundtruth/image_03"),
        ("/stereo/left/7.png", "/stereo/right/depth"),
        ("/scans/scene0000/hq/color/7.jpg", "/scans/scene0777/depth"),
        ("/scans/scene0000/7.jpg", "/copies/scene0777/render/depth"),
        ("/data/2023/7.jpg", "/data/2024"),
    ],
)
def test_the_folder_that_was_given_may_contradict_as_well(uri: str, root: str) -> None:
    found = pair({"a": uri}, [file("7", Path(root))])
    assert not found.pairs
    assert list(found.contradicting) == ["a"]


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("/mnt/disk1/photos/7.jpg", "/mnt/disk2/truth"),
        ("/people/me/kitchen/rgb/7.jpg", "/data/nyu/depth"),
        ("/scans/scene0000/color/7.jpg", "/scans/scene0000/depth"),
        ("s3://bucket/7.jpg", "/truth"),
        ("/mnt/disk1/scene01/7.jpg", "/mnt/disk2/scene01/depth"),
        ("/photos/2023/kitchen/7.jpg", "/truth/2024/nyu"),
        ("/set7/scene01/take2/7.jpg", "/set7/scene01/depth"),
    ],
)
def test_the_folder_that_was_given_can_be_called_anything(uri: str, root: str) -> None:
    assert pair({"a": uri}, [file("7", Path(root))]).pairs


def test_names_that_repeat_are_told_apart_by_folders() -> None:
    drives = ("2011_09_26_drive_0002_sync", "2011_09_26_drive_0009_sync")
    uris = {
        f"{drive} {camera}": f"/raw/2011_09_26/{drive}/{camera}/data/0000000005.png"
        for drive in drives
        for camera in ("image_02", "image_03")
    }
    files = [
        file(f"{drive}/proj_depth/groundtruth/{camera}/0000000005")
        for drive in drives
        for camera in ("image_03", "image_02")
    ]
    found = pair(uris, files)
    assert not found.unmatched
    for image_id, truth in found.pairs.items():
        drive, camera = image_id.split()
        assert truth.name == f"{drive}/proj_depth/groundtruth/{camera}/0000000005"


def test_a_photograph_does_not_take_the_depth_of_another() -> None:
    uris = {drive: f"/raw/{drive}/5.png" for drive in ("first", "second")}
    found = pair(uris, [file("second/5")])
    assert list(found.pairs) == ["second"]
    assert found.unmatched == ("first",)
    assert not found.contradicting, "the file is that of another photograph"


def test_a_tie_is_no_pair() -> None:
    uris = {"a": "/raw/5.png"}
    found = pair(uris, [file("first/5"), file("second/5")])
    assert not found.pairs
    assert found.unmatched == ("a",)
    assert found.num_unused == 2
    assert [file.name for file in found.ambiguous["a"]] == ["first/5", "second/5"]
    assert "2 files fit equally well: /truth/first/5.png, /truth/second/5.png" in reasons(
        found, uris, 5
    )


def test_two_photographs_that_one_file_fits_are_named() -> None:
    uris = {side: f"/stereo/{side}/5.png" for side in ("left", "right")}
    found = pair(uris, [file("disparity/5")])
    assert not found.pairs
    assert set(found.ambiguous) == {"left", "right"}
    assert "other photographs fit its file /truth/disparity/5.png as well" in reasons(
        found, uris, 5
    )


def test_the_longest_agreement_wins() -> None:
    files = [file("5"), file("kitchen/5"), file("house/kitchen/5")]
    found = pair({"a": "/people/house/kitchen/5.png"}, files)
    assert found_names(found) == {"a": "house/kitchen/5"}


def test_scenes_whose_files_all_have_one_name_are_told_apart_by_folders() -> None:
    uris = {name: f"/photos/{name}/rgb.png" for name in ("cones", "teddy")}
    found = pair(uris, [file("teddy/depth"), file("cones/depth")])
    assert {i: f.name for i, f in found.pairs.items()} == {
        "cones": "cones/depth",
        "teddy": "teddy/depth",
    }


def test_depth_that_was_labelled_as_a_photograph_takes_no_pair() -> None:
    """A folder of 7-Scenes given as a collection lists its depth as well."""
    names = {kind: f"/7scenes/chess/seq-01/frame-000000.{kind}.png" for kind in ("color", "depth")}
    root = Path("/7scenes")
    found = pair(names, [file("chess/seq-01/frame-000000.depth", root)])
    assert list(found.pairs) == ["color"]
    assert found.unmatched == ("depth",)


def test_a_stated_path_that_several_have_is_that_of_the_data_sets_own_folder(
    tmp_path: Path,
) -> None:
    truth = stated("truth/1", "images/1.png", tmp_path)
    uris = {"own": f"{tmp_path}/images/1.png", "other": "/copy/images/1.png"}
    found = pair(uris, [truth])
    assert list(found.pairs) == ["own"]
    assert list(pair({"other": uris["other"]}, [truth]).pairs) == ["other"]
    both = pair({"a": "/one/images/1.png", "b": "/two/images/1.png"}, [truth])
    assert not both.pairs
    assert set(both.ambiguous) == {"a", "b"}


def test_a_stated_path_in_another_folder_that_is_numbered_contradicts() -> None:
    truth = stated("truth/1", "images/1.png", Path("/data/scenes-01"))
    found = pair({"a": "/data/scenes-02/images/1.png"}, [truth])
    assert not found.pairs
    assert list(found.contradicting) == ["a"]


def test_a_list_states_the_pair_whatever_the_names_say() -> None:
    truth = stated("bedroom/9", "kitchen/7.jpg", by_list=True)
    found = pair({"a": "/photos/kitchen/7.jpg", "b": "/photos/bedroom/9.jpg"}, [truth])
    assert list(found.pairs) == ["a"]
    assert found.unmatched == ("b",)


def test_of_a_short_and_a_long_path_each_photograph_has_its_own() -> None:
    files = [stated("1", "5.png", by_list=True), stated("2", "a/5.png", by_list=True)]
    found = pair({"a": "/photos/a/5.png", "b": "/photos/b/5.png"}, files)
    assert {image_id: file.path.stem for image_id, file in found.pairs.items()} == {
        "a": "2",
        "b": "1",
    }


NAME = st.sampled_from(["kitchen", "bedroom", "scene0000", "scene0777", "seq-01", "left", "right"])
NAMES = st.lists(NAME, max_size=3).map(tuple)
ROLE_OF_PHOTOGRAPH = st.sampled_from(["", "rgb/", "image/data/", "color/", "Images/"])
ROLE_OF_DEPTH = st.sampled_from(["", "depth/", "proj_depth/groundtruth/", "gt/", "Ground-Truth/"])
FILE_NAMES = st.sampled_from(
    [("rgb_7", "sync_depth_7"), ("7", "7"), ("7_colors", "7_depth"), ("7.color", "7.depth"),
     ("left_7", "disp_7"), ("0007", "7")]
)  # fmt: skip


@given(
    scenes=st.sets(NAMES, min_size=1, max_size=4),
    roles=st.tuples(ROLE_OF_PHOTOGRAPH, ROLE_OF_DEPTH),
    names=FILE_NAMES,
    missing=st.data(),
)
def test_no_photograph_gets_the_depth_of_another_scene(
    scenes: set[tuple[str, ...]],
    roles: tuple[str, str],
    names: tuple[str, str],
    missing: st.DataObject,
) -> None:
    """Both sides lie in the same folders, with any words of their roles; either may lack some."""
    ordered = sorted(scenes)
    paths = {"/".join(("", *scene)): scene for scene in ordered}
    uris = {key: f"/p{key}/{roles[0]}{names[0]}.jpg" for key in paths}
    files = {key: file(f"{key}/{roles[1]}{names[1]}".lstrip("/")) for key in paths}
    kept_uris = missing.draw(st.sets(st.sampled_from(list(uris)), min_size=1))
    kept_files = missing.draw(st.sets(st.sampled_from(list(files)), min_size=1))
    found = pair(
        {key: uris[key] for key in sorted(kept_uris)}, [files[key] for key in sorted(kept_files)]
    )
    for key, depth in found.pairs.items():
        rest = iter(paths[key])
        assert all(name in rest for name in paths[next(k for k, f in files.items() if f is depth)])
        if key in kept_files:
            assert depth is files[key]
    assert set(found.unmatched) == set(kept_uris) - set(found.pairs)
    assert {*found.ambiguous, *found.contradicting} <= set(found.unmatched)
    taken = list(found.pairs.values())
    assert len(set(taken)) == len(taken)


@given(NAMES, NAMES)
def test_agreement_counts_what_both_have(
    photograph: tuple[str, ...], depth: tuple[str, ...]
) -> None:
    shared = agreement(photograph, depth)
    assert agreement(photograph, ()) == 0
    assert agreement(photograph, photograph) == len(photograph)
    assert agreement(("home", *photograph), depth) in (shared, None)
    rest = iter(photograph)
    if all(name in rest for name in depth):
        assert shared == len(depth)
    if photograph and depth and not set(photograph) & set(depth):
        assert shared is None


def test_a_large_data_set_is_paired_in_seconds() -> None:
    folders = [
        f"drive_{drive:04d}_sync/image_{camera:02d}" for drive in range(69) for camera in (2, 3)
    ]
    frames = range(60)
    uris = {f"{f} {n}": f"/raw/{f}/data/{n:010d}.png" for f in folders for n in frames}
    files = [file(f"{f}/{n:010d}") for f in folders for n in frames]
    started = time.monotonic()
    found = pair(uris, files)
    assert time.monotonic() - started < 20
    assert len(found.pairs) == len(files)
    assert not found.unmatched
