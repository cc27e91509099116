"""The check of packs in a clone of panther-analysis: every detection must be in a pack."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from local_panther.content.sql_text import QueryTexts
from tests.builders.events import REPO

pytestmark = pytest.mark.process

TOOL = Path(sys.executable).with_name("panther_analysis_tool")
PACK = REPO / "examples" / "aws_role_abuse_pack.yml"


def check_packs(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run([TOOL, "check-packs"], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def with_pack(content_copy: Path) -> Path:
    (content_copy / "packs").mkdir()
    shutil.copy(PACK, content_copy / "packs")
    return content_copy


def test_one_copied_file_satisfies_the_check_of_packs(with_pack):
    done = check_packs(with_pack)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_notices_a_detection_that_is_in_no_pack(with_pack):
    pack = with_pack / "packs" / PACK.name
    pack.write_text(pack.read_text().replace("    - AWS.CloudTrail.IAMListRoles\n", ""))
    done = check_packs(with_pack)
    assert done.returncode == 1 and "AWS.CloudTrail.IAMListRoles" in done.stdout + done.stderr


def test_the_pack_has_the_templates_that_its_queries_import():
    ids = yaml.safe_load(PACK.read_text())["PackDefinition"]["IDs"]
    queries = [
        spec
        for path in (REPO / "queries").glob("*.yml")
        if (spec := yaml.safe_load(path.read_text()))["QueryName"] in ids
    ]
    texts = QueryTexts({spec["QueryName"]: spec["SnowflakeQuery"] for spec in queries})
    assert len(texts) == len(queries) == 2
