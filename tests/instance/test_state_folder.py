"""The state folder of an instance: inside a repository, of an older version, and invalid ones."""

import base64

import pytest

from local_panther.errors import ContentError
from local_panther.instance.store.index import stored_content
from local_panther.instance.store.library import Library
from tests.builders.content import write_helper, write_rules
from tests.builders.replays import replayed, simulated
from tests.instance.commands import run
from tests.instance.conftest import TOKEN, archive
from tests.instance.servers import server

pytestmark = pytest.mark.process

RULE = """
AnalysisType: rule
RuleID: A
Enabled: true
Filename: a.py
LogTypes: [AWS.CloudTrail]
Severity: Info
"""


@pytest.mark.parametrize("name", ["build", "rules"])
def test_a_state_inside_a_repository_is_not_content_of_it(tmp_path, name):
    body = "import my_helper\ndef rule(_):\n    return my_helper.yes\n"
    content = write_rules(tmp_path / "content", a=body)
    write_helper(content / "global_helpers", "my_helper", "yes = True\n")
    state = content / name / "state"
    state.parent.mkdir(exist_ok=True)
    with server(state) as running:
        for _ in range(2):
            done = run(
                *("panther_analysis_tool", "upload", "--skip-tests", "--out", tmp_path),
                cwd=content,
                PANTHER_API_HOST=running.client.url,
                PANTHER_API_TOKEN=TOKEN,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    done = run("local-panther", "test", "--show-failures-only", cwd=content)
    assert done.returncode == 0 and "Invalid: 0" in done.stdout, done.stdout + done.stderr
    outcome = replayed(simulated(tmp_path / "trail", ordinary=0), content=content)
    assert outcome.complete and not outcome.content.unread


def test_a_content_folder_of_an_older_version_is_read(tmp_path):
    state = tmp_path / "state"
    library = Library(state)
    archived = archive({"rules/a.yml": RULE, "rules/a.py": "def rule(_):\n    return True\n"})
    assert not library.upload(base64.b64encode(archived).decode()).problems
    library.close()
    (content,) = state.glob(".content-*")
    older = state / content.name.removeprefix(".")
    content.rename(older)
    index = (state / "state.json").read_text()
    (state / "state.json").write_text(index.replace(content.name, older.name))
    library = Library(state)
    assert stored_content(state) == older and list(library.items) == ["A"]
    library.close()


def test_a_folder_that_is_not_a_state_is_left_unchanged(tmp_path):
    (tmp_path / "content-1").mkdir()
    (tmp_path / "content-1" / "mine").write_text("")
    with pytest.raises(ContentError, match="holds files but no uploads"):
        Library(tmp_path)
    assert (tmp_path / "content-1" / "mine").exists()


@pytest.mark.parametrize("index", ["{", "[]", '{"items": 7, "content": "content-1"}'])
def test_serve_with_an_invalid_index_exits_with_2_and_leaves_it_unchanged(tmp_path, index):
    (tmp_path / "state.json").write_text(index)
    done = run("local-panther", "serve", "--port", "0", "--state", tmp_path, cwd=tmp_path)
    assert done.returncode == 2 and "invalid index of uploads" in done.stderr
    assert (tmp_path / "state.json").read_text() == index
