"""The documents say what is so: generated pages are fresh, tables point at things that exist."""

import importlib.util
import re
from pathlib import Path

import pytest

from cloudcpt.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
TABLE_ROW = re.compile(r"^\| (S\d-\d+) \| (.*) \| (works|partly|answered|open) \| (.*?) \| (.*?) \| (.*?) \|$")
FEATURES = [
    match.groups() for line in (ROOT / "docs/features.md").read_text().splitlines() if (match := TABLE_ROW.match(line))
]


def load_generator():
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["recipe.schema.json", "recipe.md", "codes.md", "commands.md"])
def test_a_generated_page_is_what_make_docs_would_write(name):
    assert (ROOT / "docs" / name).read_text("utf-8") == load_generator().generated()[name], "run `make docs`"


def test_every_feature_of_the_source_documents_has_one_row():
    ids = [row[0] for row in FEATURES]
    counts = {"S0": 40, "S1": 35, "S2": 36, "S3": 34, "S4": 29}
    assert ids == [f"{source}-{number:02}" for source, count in counts.items() for number in range(1, count + 1)]


@pytest.mark.parametrize("row", FEATURES, ids=lambda row: row[0])
def test_what_a_feature_points_at_exists(row):
    _, _, state, where, shown_by, note = row
    where, shown_by = where.strip("`"), shown_by.strip("`")
    if state == "open":
        assert (where, shown_by) == ("", "")
        return
    assert any((base / where).exists() for base in (ROOT, ROOT / "cloudcpt")), where
    assert shown_by or note, "say what shows it, or what is so"
    if shown_by:
        path, _, test = shown_by.partition("::")
        assert f"def {test or 'test_'}" in (ROOT / path).read_text(), shown_by


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_links_inside_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8")):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_readme_names_every_command():
    text = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"cloudcpt {name}" not in text] == []


def test_the_readme_draws_the_folders_that_are_there():
    text = (ROOT / "README.md").read_text("utf-8")
    packages = {path.parent.name for path in (ROOT / "cloudcpt").glob("*/__init__.py")}
    assert [name for name in sorted(packages) if f"  {name}/" not in text] == []
