"""Workflows use pinned actions, only the permissions that a job needs, and protected secrets."""

import re

import pytest
import yaml

from tests.builders.events import REPO

FILES = sorted((REPO / ".github" / "workflows").glob("*.y*ml"))
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in FILES}
JOBS = [
    pytest.param(name, job, id=f"{name}-{job}")
    for name, workflow in WORKFLOWS.items()
    for job in workflow["jobs"]
]


pytestmark = pytest.mark.attack("supply")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_a_version_comment(path):
    used = [line.strip(" -") for line in path.read_text().splitlines() if "uses:" in line]
    used = [line for line in used if not line.startswith("uses: ./")]
    for line in used:
        assert re.fullmatch(r"uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize(("name", "job"), JOBS)
class TestJobs:
    def test_a_job_has_read_permission_only(self, name, job):
        workflow = WORKFLOWS[name]
        rights = workflow["jobs"][job].get("permissions", workflow.get("permissions"))
        assert rights is not None and set(rights) <= {"contents"}
        assert set(rights.values()) <= {"read"}

    def test_a_job_leaves_no_credentials_in_the_clone(self, name, job):
        for step in WORKFLOWS[name]["jobs"][job].get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False

    def test_a_job_reads_secrets_only_in_a_protected_environment(self, name, job):
        definition = WORKFLOWS[name]["jobs"][job]
        if "secrets." in str(definition):
            assert definition["environment"]
            assert "push" in definition["if"], "never for pull requests"

    def test_a_job_has_a_time_limit(self, name, job):
        definition = WORKFLOWS[name]["jobs"][job]
        assert "timeout-minutes" in definition or "uses" in definition


def test_text_of_pull_requests_never_reaches_a_shell():
    """Titles, branch names and bodies of pull requests become code if a `run` line expands them."""
    for workflow in WORKFLOWS.values():
        for job in workflow["jobs"].values():
            for step in job.get("steps", []):
                assert "${{" not in step.get("run", "")


def test_the_table_of_permissions_matches_the_workflows():
    rows = []
    for path in (".github/workflows/panther.yml", "examples/ci/.github/workflows/panther.yml"):
        workflow = yaml.safe_load((REPO / path).read_text())
        for name, job in workflow["jobs"].items():
            rights = job.get("permissions", workflow["permissions"])
            secrets = sorted(set(re.findall(r"secrets\.(\w+)", yaml.safe_dump(job))))
            cells = (
                f"`{path}`",
                name,
                ", ".join(f"{right}: {level}" for right, level in rights.items()) or "none",
                ", ".join(secrets) or "none",
                job.get("environment", "none"),
            )
            rows.append(f"| {' | '.join(cells)} |")
    table = [
        line for line in (REPO / "SECURITY.md").read_text().splitlines() if "panther.yml`" in line
    ]
    assert table == rows
