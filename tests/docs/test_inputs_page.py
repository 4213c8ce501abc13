"""Every row of the page of inputs names tests that hold it, and quotes what redepth really says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")

# The beginning of a row, and the tests below tests/ that hold what it says.
HELD_BY = {
    "a folder inside the collection that may not be": (
        "images/test_one_of_several.py::test_a_folder_that_may_not_be_read",
        "images/test_one_of_several.py::test_a_folder_of_another_file_system_that_may_not_be_read",
    ),
    "a linked file": (
        "images/test_collection.py::test_linked_files_are_listed_broken_ones_too_linked_folders_are_not",
    ),
    "a link to nothing": (
        "images/test_collection.py::test_linked_files_are_listed_broken_ones_too_linked_folders_are_not",
        "images/test_decode.py::test_a_file_that_is_gone_is_rejected",
    ),
    "a linked folder": (
        "images/test_collection.py::test_linked_files_are_listed_broken_ones_too_linked_folders_are_not",
        "images/test_one_of_several.py::test_what_is_passed_over_is_counted",
    ),
    "a pipe, socket or device": (
        "images/test_collection.py::test_a_pipe_is_no_image",
        "images/test_tar_contents.py::test_devices_and_folders_are_no_photographs",
    ),
    "hidden names": (
        "images/test_hidden.py::test_a_name_is_passed_over_as",
        "images/test_hidden.py::test_hidden_names_are_passed_over_and_counted",
        "images/test_hidden.py::test_a_glob_can_ask_for_hidden_names",
    ),
    "labels, exports and scores of redepth": (
        "images/test_one_of_several.py::test_what_redepth_wrote_is_not_listed",
        "images/test_bucket_listing.py::test_what_redepth_wrote_is_not_listed",
        "images/test_hidden.py::test_what_redepth_wrote_is_not_listed_in_archives_either",
    ),
    "`IMG_0001`": ("images/test_one_of_several.py::test_what_is_passed_over_is_counted",),
    "`notes.txt`": ("images/test_one_of_several.py::test_what_is_passed_over_is_counted",),
    "keys of a bucket": (
        "images/test_bucket_listing.py::test_a_key_that_obstore_cannot_name",
        "images/test_bucket_listing.py::test_objects_come_with_size_and_etag",
    ),
    "`.txt` `.csv`": (
        "images/test_list_text.py::test_every_list_in_every_coding",
        "images/test_rows.py::test_every_kind_of_list_has_a_writer_here",
        "images/test_rows.py::test_plain_records",
    ),
    "byte-order mark": (
        "images/test_list_text.py::test_every_list_in_every_coding",
        "images/test_list_text.py::test_a_table_is_split_as_its_names_are",
    ),
    "Latin-1": ("images/test_list_text.py::test_text_that_is_none_is_refused_with_its_line",),
    "a damaged or cut `.gz`": (
        "images/test_list_text.py::test_a_packed_list_that_is_damaged_is_refused",
    ),
    "a short row of a CSV": ("images/test_list_text.py::test_rows_that_are_read",),
    "more cells than column names": (
        "images/test_list_text.py::test_a_table_that_loses_a_row_is_refused",
    ),
    "no column `uri`": (
        "images/test_collection.py::test_a_list_that_cannot_be_understood",
        "images/test_collection.py::test_a_parquet_list_without_the_column",
    ),
    "columns `ID`": (
        "images/test_rows.py::test_columns_are_found_however_they_are_spelt",
        "images/test_rows.py::test_two_columns_that_are_one_field_are_refused",
    ),
    "a table called `.txt`": ("images/test_list_text.py::test_a_table_called_txt_is_refused",),
    "a JSON array that is cut": (
        "images/test_list_text.py::test_json_that_loses_a_row_is_refused",
    ),
    "`id`, `caption`, `focal_px`": (
        "images/test_rows.py::test_an_empty_id_is_none",
        "images/test_rows.py::test_a_caption_of_another_type",
        "images/test_rows.py::test_a_focal_length_that_is_not_known",
    ),
    "an empty `uri`": ("images/test_rows.py::test_an_empty_uri_is_refused_with_its_line",),
    "a number as id": (
        "images/test_rows.py::test_a_number_is_an_id",
        "images/test_rows.py::test_a_caption_of_another_type",
    ),
    "true, a date or an object": (
        "images/test_rows.py::test_what_is_no_id_is_refused_with_its_line",
        "images/test_rows.py::test_what_is_no_caption_is_refused_with_its_line",
    ),
    "`focal_px` or `fov_deg`: `50mm`": (
        "images/test_rows.py::test_what_is_no_focal_length_is_refused_with_its_line",
    ),
    "one `id` for two images": (
        "images/test_sources.py::test_an_id_that_two_images_of_parquet_files_have_is_refused",
        "images/test_sources.py::test_an_id_that_two_lists_have_is_refused",
        "images/test_collection.py::test_an_id_for_two_images_is_an_error_that_names_both",
    ),
    "a photograph outside": (
        "images/test_allowed.py::test_what_a_local_list_may_not_name",
        "images/test_allowed.py::test_more_can_be_allowed",
    ),
    "a file that is not there": ("images/test_decode.py::test_a_file_that_is_gone_is_rejected",),
    "one bad list of several": ("images/test_sources.py::test_braces_of_lists",),
    "a tar with a damaged header": (
        "images/test_tar_damage.py::test_every_byte_of_every_header",
        "images/test_tar_contents.py::test_what_lies_behind_a_damaged_header_is_listed_and_the_damage_named",
    ),
    "a tar that is cut": (
        "images/test_tar_damage.py::test_every_cut",
        "images/test_tar_contents.py::test_a_photograph_that_is_cut_is_listed_and_rejected",
    ),
    "a tar without its two end blocks": (
        "images/test_tar_damage.py::test_every_cut",
        "images/test_tar_damage.py::test_what_is_said_of_an_end",
    ),
    "zeros or garbage": (
        "images/test_tar_damage.py::test_overwritten_parts",
        "images/test_tar_damage.py::test_what_is_said_of_an_end",
    ),
    "an empty file, gzip or text called `.tar`": (
        "images/test_one_of_several.py::test_one_tar_of_a_glob",
        "images/test_one_of_several.py::test_a_container_alone_that_cannot_be_read_is_an_error",
    ),
    "`cat a.tar b.tar`": ("images/test_tar_damage.py::test_tars_behind_each_other_are_read",),
    "a name that occurs twice": (
        "images/test_tar_contents.py::test_of_one_name_the_last_file_remains_as_unpacking_leaves_it",
        "images/test_zip_walk.py::test_odd_members",
    ),
    "a link within the tar": (
        "images/test_tar_contents.py::test_links_within_a_tar_are_the_files_that_they_lead_to",
    ),
    "a link that leads out": (
        "images/test_tar_contents.py::test_other_links_are_listed_and_rejected",
    ),
    "a sparse file": ("images/test_tar_contents.py::test_a_sparse_file_is_listed_and_rejected",),
    "a tar within a tar": (
        "images/test_tar_damage.py::test_files_of_an_inner_tar_are_not_taken_for_the_outer_ones",
    ),
    "WebDataset: `0.depth.png`": ("images/test_samples.py::test_the_photographs_of_samples",),
    "WebDataset: `0.left.jpg`": ("images/test_samples.py::test_the_photographs_of_samples",),
    "`0.txt`, or `caption`": (
        "images/test_tar_contents.py::test_captions_stand_anywhere",
        "images/test_tar_contents.py::test_layouts_of_img2dataset_and_webdataset",
    ),
    "a caption above 16 KiB": (
        "images/test_tar_contents.py::test_without_its_caption_a_photograph_is_a_fault",
    ),
    "a tar on a web server": (
        "images/test_containers.py::test_a_server_that_gives_no_parts_of_a_file_is_named",
    ),
    "a zip of photographs": (
        "images/test_sources.py::test_a_zip_is_a_collection",
        "images/test_zip_walk.py::test_odd_members",
    ),
    "a zip that is cut": (
        "images/test_zip_walk.py::test_every_cut_of_a_zip_is_named",
        "images/test_zip_walk.py::test_every_byte_of_the_directory_of_a_zip",
    ),
    "an encrypted photograph": ("images/test_zip_walk.py::test_an_encrypted_member_says_so",),
    "a column `image`": (
        "images/test_parquet_images.py::test_bytes_of_every_type",
        "images/test_parquet_images.py::test_rows_of_both_kinds",
    ),
    "a row with a path": (
        "images/test_parquet_images.py::test_a_path_is_read_where_there_are_no_bytes",
        "images/test_parquet_images.py::test_a_row_names_nothing_that_a_list_may_not",
    ),
    "a row with neither": ("images/test_parquet_images.py::test_a_row_that_names_no_photograph",),
    "several photographs in one row": (
        "images/test_parquet_images.py::test_several_photographs_a_row_are_refused",
    ),
    "a damaged row group": (
        "images/test_parquet_images.py::test_a_damaged_row_group_is_a_rejection_of_its_photographs",
    ),
    "an empty file, a damaged footer": (
        "images/test_one_of_several.py::test_one_parquet_of_a_glob",
        "images/test_parquet_footer.py::test_a_damaged_footer_is_refused",
        "images/test_parquet_footer.py::test_no_byte_of_a_footer_ends_the_process",
    ),
    "Arrow, Feather": ("images/test_sources.py::test_other_files_are_refused_by_name",),
    "`.tar.gz`": (
        "images/test_bombs.py::test_a_compressed_tar_is_no_collection",
        "images/test_sources.py::test_other_files_are_refused_by_name",
    ),
    "`{000..010}.tar`": (
        "images/test_sources.py::test_a_shard_of_a_range_that_is_not_there_is_noticed",
    ),
    "`~x.jpg`": (
        "images/test_names.py::test_a_file_is_found_by_its_own_name",
        "images/test_sources.py::test_a_file_that_is_called_so",
    ),
    "`#1.jpg` in a": (
        "images/test_collection.py::test_a_text_list_skips_blank_lines_and_comments",
    ),
    "`file:///a%20b.jpg`": ("images/test_names.py::test_one_form",),
    "a name of bytes": (
        "images/test_one_of_several.py::test_names_that_are_not_valid_unicode",
        "images/test_tar_contents.py::test_names_that_are_not_utf_8_are_read_by_their_place",
    ),
    "a tar, zip or Parquet file with `::`": (
        "images/test_sources.py::test_a_container_whose_path_parts_names_is_refused",
    ),
    "`s3:/bucket/x`": ("images/test_names.py::test_a_slash_too_few_or_too_many",),
    "`C:\\photos\\a.jpg`": ("images/test_names.py::test_a_path_of_windows_says_so",),
    "`s3://bucket/key?versionId=v`": ("images/test_names.py::test_a_version_of_an_object_is_read",),
    "a presigned URL": (
        "images/test_names.py::test_an_address_arrives_as_it_was_written",
        "images/test_foreign_text.py::test_a_signed_url_is_opened_and_never_stored",
    ),
    "a HEIC called": ("images/test_phone_formats.py::test_content_decides_and_not_the_name",),
    "HEIC or JPEG XL without its extra": (
        "images/test_phone_formats.py::test_without_the_extra_the_rejection_says_what_to_install",
        "images/test_one_of_several.py::test_pictures_that_need_an_extra_are_counted",
    ),
    "a burst, animation": (
        "images/test_decode.py::test_the_first_frame_is_taken_and_said",
        "images/test_phone_formats.py::test_of_a_burst_the_primary_picture_is_taken",
    ),
    "an animated JPEG XL": (
        "images/test_phone_formats.py::test_what_would_not_come_out_as_its_first_frame_is_rejected",
    ),
    "RAW, PSD, EXR": ("images/test_formats.py::test_what_is_passed_over_has_a_name",),
    "RAW, PSD or video": ("images/test_phone_formats.py::test_what_is_not_read_is_named",),
    "TIFF of 1 to 16 bits": (
        "images/test_tiff.py::test_rgb_in_strips_tiles_and_planes",
        "images/test_tiff.py::test_cmyk_in_planes",
        "images/test_tiff.py::test_min_is_white_is_no_negative",
        "images/test_tiff.py::test_few_bits_fill_the_range",
    ),
    "TIFF of float RGB": (
        "images/test_tiff.py::test_other_samples_are_rejected_by_what_they_are",
        "images/test_tiff.py::test_a_big_endian_bigtiff_is_rejected_by_name",
    ),
    "a picture far too large": (
        "images/test_decode.py::test_pictures_beyond_the_limits_are_rejected_and_at_the_limits_taken",
        "images/test_decode.py::test_bombs_take_no_memory",
        "images/test_bombs.py::test_pictures",
    ),
    "an empty file; HTML": ("images/test_decode.py::test_rejections_say_why",),
    "a JPEG without its end": ("images/test_damage.py::test_a_lost_end_marker_alone_is_a_note",),
    "a JPEG that lost": (
        "images/test_damage.py::test_a_jpeg_that_lost_its_end_is_whole_or_rejected",
        "images/test_damage.py::test_a_progressive_jpeg_without_its_last_scan_is_truncated",
    ),
    "a PNG with a wrong checksum": (
        "images/test_damage.py::test_a_wrong_checksum_outside_the_pixels_is_a_note",
    ),
    "a PNG with damaged pixels": (
        "images/test_damage.py::test_damaged_pixels_of_a_png_are_a_rejection",
    ),
    "a GIF, TIFF, APNG": (
        "images/test_damage.py::test_damage_in_a_later_frame_is_a_note",
        "images/test_damage.py::test_damage_in_a_later_page_of_a_tiff_is_told",
    ),
    "bytes in front": (
        "images/test_damage.py::test_bytes_behind_a_jpeg_are_no_damage_and_before_it_are",
    ),
    "an ICC profile of sRGB": ("images/test_colour.py::test_srgb_of_any_vendor_changes_no_byte",),
    "Display P3, Adobe RGB": (
        "images/test_colour.py::test_wide_gamuts_come_out_by_the_formula",
        "images/test_colour.py::test_grey_profiles_change_the_curve_of_grey",
        "images/test_colour.py::test_cmyk_is_converted_by_its_profile",
    ),
    "a damaged profile": (
        "images/test_colour.py::test_a_profile_that_cannot_be_used_is_a_note",
        "images/test_colour.py::test_every_byte_of_a_profile_may_be_wrong",
    ),
    "Adobe RGB by EXIF": (
        "images/test_colour.py::test_adobe_rgb_by_exif_alone_changes_nothing_and_is_told",
    ),
    "HEIC or AVIF with BT.2020": ("images/test_phone_formats.py::test_colours_by_code_are_told",),
    "transparency": ("images/test_decode.py::test_alpha_is_composited_over_the_background",),
    "touched, copied": (
        "store/test_kept.py::test_touched_photographs_keep_their_labels_and_nothing_is_left_to_do",
        "store/test_kept.py::test_it_is_said_in_words",
        "labelling/test_touched_collections.py::test_what_is_written_anew_with_the_same_bytes_keeps_its_labels",
    ),
    "overwritten, at the same size": (
        "labelling/test_labeller.py::test_other_bytes_of_the_same_size_are_labelled",
        "store/test_kept.py::test_another_size_is_not_even_compared",
    ),
    "touched, with another caption": (
        "labelling/test_labeller.py::test_a_list_that_says_something_else_by_now_has_it_labelled",
        "labelling/test_labeller.py::test_a_caption_counts_where_the_method_has_read_one",
    ),
    "replaced or removed": (
        "report/test_report_command.py::test_what_was_overwritten_is_said_and_never_drawn",
        "torch_data/test_labelled_pictures.py::test_a_photograph_that_was_overwritten_is_no_training_data",
        "store/test_photographs.py::test_one_that_is_another_or_gone_is_counted_and_named",
    ),
    "one name in folders": (
        "datasets/test_pairing.py::test_a_name_that_both_sides_have_once_is_no_pair_where_folders_contradict",
        "evaluation/test_evaluating.py::test_what_contradicts_or_is_ambiguous_is_refused_and_in_part_counted",
    ),
    "several files that fit": (
        "datasets/test_pairing.py::test_a_tie_is_no_pair",
        "datasets/test_pairing.py::test_two_photographs_that_one_file_fits_are_named",
    ),
    "a depth file that cannot be read": (
        "evaluation/test_evaluating.py::test_one_damaged_file_is_named_and_in_part_the_rest_is_measured",
        "flows/test_evaluate_command.py::test_evaluate_in_part_ends_with_1_where_that_is_asked_for",
    ),
    "a depth map that was labelled": (
        "datasets/test_pairing.py::test_depth_that_was_labelled_as_a_photograph_takes_no_pair",
    ),
    "a linked folder below": (
        "datasets/test_finding.py::test_linked_files_are_read_and_linked_folders_are_named",
        "datasets/test_finding.py::test_a_folder_of_links_alone_says_that_they_are_not_entered",
    ),
    "PFM, PGM, DPT": (
        "images/test_netpbm.py::test_every_cut_is_refused",
        "datasets/test_reading.py::test_cuts_and_other_bytes_in_a_dpts_header_are_refused",
        "datasets/test_reading.py::test_arrays_that_are_no_map_are_refused",
    ),
    "a `.csv` of pairs": (
        "datasets/test_finding.py::test_lists_that_cannot_be_understood_are_refused_by_line",
    ),
    "labels in a folder": (
        "store/test_kinds_of_urls.py::test_folders_and_zips_are_read",
        "store/test_kinds_of_urls.py::test_a_web_server_that_sends_parts_of_files_is_read",
    ),
    "labels in a tar": (
        "store/test_kinds_of_urls.py::test_every_other_kind_is_refused_with_what_to_do",
    ),
    "`simplecache::`": (
        "store/test_kinds_of_urls.py::test_every_other_kind_is_refused_with_what_to_do",
    ),
    "a server without ranges": (
        "store/test_kinds_of_urls.py::test_a_server_without_ranges_is_named_and_no_label_is_called_damaged",
    ),
    "a login page": ("store/test_kinds_of_urls.py::test_a_page_in_place_of_the_labels_is_named",),
    "an export, an empty folder": (
        "store/test_kinds_of_urls.py::test_an_export_and_an_empty_folder_are_told_apart",
        "store/test_kinds_of_urls.py::test_every_other_kind_is_refused_with_what_to_do",
    ),
    "writing labels or exports": (
        "store/test_kinds_of_urls.py::test_what_is_only_read_is_not_written_to",
    ),
    "`.DS_Store`": (
        "store/test_names_in_labels.py::test_every_reader_ignores_them",
        "store/test_names_in_labels.py::test_they_are_named",
    ),
    "`LabelDataset`": (
        "torch_data/test_ranks.py::test_accelerate",
        "torch_data/test_ranks.py::test_the_trainer_of_transformers",
    ),
    "`WORLD_SIZE`": (
        "torch_data/test_ranks.py::test_a_process_that_does_not_know_its_rank_reads_nothing",
    ),
    "an export of ids": (
        "exports/test_names.py::test_hard_ids_are_exported_in_every_format",
        "exports/test_names.py::test_names_never_meet_and_fit_every_disk",
    ),
    "a quantity that no label has": (
        "exports/test_absent_quantities.py::test_a_set_without_confidence_is_exported_without_it",
        "exports/test_absent_quantities.py::test_nothing_but_what_is_absent_is_refused",
    ),
    "an export of an earlier layout": (
        "exports/test_load_dataset.py::test_an_export_of_another_layout_is_not_gone_on_with",
    ),
}


def rows() -> list[list[str]]:
    """Return the cells of every row below the table of words."""
    lines = PAGE[PAGE.index("## ") :].splitlines()
    cells = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in cells if row[0].strip() != "input"]


@cache
def texts_of_redepth() -> str:
    """Return every text in the code; of an f-string the pieces between its values."""
    files = [path for room in ("redepth", "flows", "tasks") for path in (ROOT / room).rglob("*.py")]
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_bytes())))
    constants = (node.value for node in nodes if isinstance(node, ast.Constant))
    return "\n".join(text for text in constants if isinstance(text, str))


def test_every_row_names_its_tests() -> None:
    starts = [row[0] for row in rows()]
    held = [[key for key in HELD_BY if start.startswith(key)] for start in starts]
    assert [start for start, keys in zip(starts, held, strict=True) if not keys] == []
    assert set(HELD_BY) == {key for keys in held for key in keys}


@pytest.mark.parametrize("row", HELD_BY)
def test_its_tests_are_there(row: str) -> None:
    for named in HELD_BY[row]:
        file, _, test = named.partition("::")
        content = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {test}\(", content, re.MULTILINE), named


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_it_quotes_what_is_said(row: list[str]) -> None:
    assert len(row) == 3
    for quoted in re.findall(r'"([^"]+)"', row[2]):
        for piece in quoted.split("..."):
            assert piece in texts_of_redepth(), quoted


def test_links_of_the_contents_lead_to_the_tables() -> None:
    titles = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert re.findall(r"\[([^\]]+)\]\(#", PAGE) == [
        title if title.startswith("Parquet") else title[0].lower() + title[1:] for title in titles
    ]
