"""A runner for the shell steps of this project's workflows and composite action."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")  # the meaning of `shell: bash`


@dataclass
class Runner:
    """A machine that runs the steps of one job.

    Attributes:
        workspace: The user's repository.
        temp: The runner's folder for temporary files.
        environment: Variables of the machine, without GitHub's.
        context: Values of expressions by name, such as `inputs.path` or `steps.install.outcome`.
        outputs: Output of each step, by its name or number.
        used: Third-party actions that would have run, with their inputs.
        failed: Names of the steps that failed.
    """

    workspace: Path
    temp: Path
    environment: dict[str, str]
    context: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    used: list[dict[str, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def run(self, steps: list[dict[str, Any]], **variables: str) -> None:
        """Run steps as GitHub does; after a failure, only those whose `if` allows it."""
        for number, step in enumerate(steps):
            name = step.get("name", str(number))
            condition = step.get("if", "${{ success() }}")
            if not self._holds(condition):
                continue
            if "uses" in step:
                given = {k: self._filled(str(v)) for k, v in step.get("with", {}).items()}
                self.used.append({"uses": step["uses"], **given})
                continue
            status = self._shell(step, name, variables)
            if status:
                self.failed.append(name)
            if "id" in step:
                self.context[f"steps.{step['id']}.outcome"] = "failure" if status else "success"

    @property
    def summary(self) -> str:
        return self._file("summary").read_text()

    def _shell(self, step: dict[str, Any], name: str, variables: dict[str, str]) -> int:
        own = {k: self._filled(str(v)) for k, v in step.get("env", {}).items()}
        output, summary = self._file("output"), self._file("summary")
        output.write_text("")
        github = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "RUNNER_TEMP": str(self.temp),
        }
        folder = self.workspace / self._filled(step.get("working-directory", "."))
        script = self.temp / "step.sh"
        script.write_text(self._filled(step["run"]))
        done = subprocess.run(
            [*SHELL, script],
            cwd=folder,
            env=self.environment | github | variables | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        self.outputs[name] = done.stdout
        for line in output.read_text().splitlines():
            key, _, value = line.partition("=")
            self.context[f"steps.{step['id']}.outputs.{key}"] = value
        return done.returncode

    def _file(self, name: str) -> Path:
        path = self.temp / f"github-{name}"
        path.touch()
        return path

    def _filled(self, text: str) -> str:
        return EXPRESSION.sub(lambda found: self.context[found[1]], text)

    def _holds(self, condition: str) -> bool:
        expression = EXPRESSION.fullmatch(condition)
        parts = (expression[1] if expression else condition).split(" && ")
        return all(self._part_holds(part) for part in parts)

    def _part_holds(self, part: str) -> bool:
        if part == "!cancelled()":
            return True
        if part == "success()":
            return not self.failed
        name, relation, literal = re.fullmatch(r"(\S+) (==|!=) '(.*)'", part).groups()
        return (self.context[name] == literal) == (relation == "==")
