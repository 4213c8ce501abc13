"""Every code block of README and docs/ is held by a test, or this table says why it is not.

A block of bash is held line by line: every `redepth` command is parsed with the real command line
(test_readme.py), and those of `test_snippets.RUN` run. The lines of other programs are listed here.
"""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest

from tests.docs.markdown_pages import NOT_RUN as MARK
from tests.docs.markdown_pages import PAGES, ROOT, command_lines

# page, language -> the test that runs, validates or compares every such block.
HELD = {
    ("README.md", "python"): "test_readme.py::test_the_python_snippets_run_one_after_the_other",
    ("docs/using-labels.md", "python"): (
        "test_snippets.py::test_the_python_snippets_run_one_after_the_other"
    ),
    ("docs/torch.md", "python"): (
        "test_snippets.py::test_the_python_snippets_run_one_after_the_other"
    ),
    ("docs/exporting.md", "python"): (
        "test_snippets.py::test_the_python_snippets_run_one_after_the_other"
    ),
    ("docs/evaluation.md", "python"): (
        "test_snippets.py::test_the_python_snippets_run_one_after_the_other"
    ),
    ("docs/3d.md", "python"): "test_3d_page.py::test_the_commands_and_the_snippets_run",
    ("docs/using-labels.md", "sql"): "test_snippets.py::test_the_sql_runs",
    ("docs/betterdepth.md", "python"): (
        "test_refiner_pages.py::test_the_snippet_refines_a_photograph"
    ),
    ("docs/sharpdepth.md", "python"): (
        "test_refiner_pages.py::test_the_snippet_refines_a_photograph"
    ),
    ("docs/betterdepth.md", "yaml"): "test_refiner_pages.py::test_the_config_of_a_page_validates",
    ("docs/sharpdepth.md", "yaml"): "test_refiner_pages.py::test_the_config_of_a_page_validates",
    ("docs/distillation.md", "python"): "test_configs_on_pages.py::test_the_student_is_loaded",
    ("docs/operations.md", "yaml"): (
        "test_configs_on_pages.py::test_the_recipe_with_a_schedule_is_one"
    ),
    ("docs/weights.md", "yaml"): (
        "test_configs_on_pages.py::test_the_weights_of_a_recipe_are_named_so"
    ),
    ("docs/labelling.md", "csv"): "test_configs_on_pages.py::test_the_list_is_read",
    ("docs/extending.md", "python"): (
        "test_extending.py::test_the_page_shows_the_files_of_the_example"
    ),
    ("docs/extending.md", "toml"): (
        "test_extending.py::test_the_page_shows_the_files_of_the_example"
    ),
    ("docs/extending.md", "yaml"): (
        "test_extending.py::test_the_page_shows_the_files_of_the_example"
    ),
    ("*", "bash"): "test_readme.py::test_a_redepth_command_parses",
}

# page, language -> why no test holds its block.
NOT_HELD = {
    ("docs/cascade.md", "yaml"): "an outline: the settings of the two methods are dots",
    ("docs/clusters.md", "yaml"): "a part of a pod's template; whole ones in infra/ are checked",
    ("docs/cost.md", "text"): "what a run said on an H200",
}

# page, first line -> why the block below `<!-- not run -->` is not run.
MARKED = {
    ("docs/clusters.md", "docker build"): "needs an engine; held to the files in infra/ below",
    ("docs/clusters.md", "group=$(aws ec2"): "changes an account of AWS",
    ("docs/s3.md", "aws s3api"): "changes an account of AWS",
    ("docs/evaluation.md", "python scripts/motorcycle_truth.py"): (
        "starts Ray and Prefect; run by hand"
    ),
    ("docs/keeping.md", "cp -r labels/"): "test_keeping_page.py does the same",
    ("docs/keeping.md", "find labels/labels"): "test_keeping_page.py does the same",
    ("docs/monitoring.md", "(umask"): "starts a server for good; make test-ops starts one like it",
    ("docs/monitoring.md", "prefect automation"): "needs that server; make test-ops does it",
    ("docs/operations.md", "make install"): (
        "starts Postgres, a server and a worker for good; make test-ops starts the same"
    ),
}

# Lines of other programs in blocks of bash, with what holds them.
OTHER_PROGRAMS = {
    "make": "test_readme.py::test_every_make_target_named_exists",
    "pip": "needs a network; make test-wheel installs the wheel and the plug-in's test the package",
    "export": "sets keys; make test-s3 sets the same variables",
}

BLOCKS = [
    (page, found[2] or "text", bool(found[1]), found[3].strip().splitlines()[0])
    for page, text in PAGES.items()
    for found in re.finditer(
        rf"^({MARK}\n)?```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL
    )
]


@pytest.mark.parametrize(("page", "language", "marked", "first"), BLOCKS)
def test_a_block_is_held_by_a_test_or_named(
    page: str, language: str, marked: bool, first: str
) -> None:
    if marked:
        assert any(page == p and first.startswith(start) for p, start in MARKED)
        return
    held = [test for (p, kind), test in HELD.items() if fnmatch(page, p) and kind == language]
    assert len(held) + ((page, language) in NOT_HELD) == 1


@pytest.mark.parametrize("test", sorted({*HELD.values()}))
def test_the_tests_are_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / "tests" / "docs" / file).read_text(encoding="utf-8")


def test_no_entry_is_left_of_a_block_that_is_gone() -> None:
    kinds = {(page, language) for page, language, marked, _ in BLOCKS if not marked}
    assert {key for key in (*HELD, *NOT_HELD) if key[0] != "*"} - kinds == set()
    marked = [(page, first) for page, _, is_marked, first in BLOCKS if is_marked]
    unused = [k for k in MARKED if not any(k[0] == p and f.startswith(k[1]) for p, f in marked)]
    assert unused == []


def test_other_programs_in_blocks_are_known() -> None:
    programs = {words[0] for text in PAGES.values() for words in command_lines(text)}
    assert programs - {"redepth"} == set(OTHER_PROGRAMS)


def test_commands_for_containers_and_clusters_are_those_of_the_files() -> None:
    (block,) = re.findall(
        r"^```bash\n(docker build.*?)^```", PAGES["docs/clusters.md"], re.M | re.S
    )
    infra = (path for path in (ROOT / "infra").rglob("*") if path.is_file())
    heads = "\n".join(path.read_text(encoding="utf-8", errors="ignore") for path in infra)
    said = {line.lstrip("# ").strip() for line in heads.splitlines() if line.startswith("#")}
    assert [line for line in block.splitlines() if line.strip() and line.strip() not in said] == []
