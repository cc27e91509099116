"""Writes test results as JUnit XML, which continuous integration systems read."""

import re
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from local_panther.tool_runs.results import Result

# Characters that XML 1.0 cannot hold, not even escaped.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(results: list[Result], files: Mapping[str, Path]) -> str:
    """Return the XML document, with a suite for each item and a case for each of its tests.

    Args:
        results: Results, grouped by item.
        files: YAML file of each item, by ID.
    """
    failed = sum(not result.passed for result in results)
    totals = {"name": "panther", "tests": str(len(results)), "failures": str(failed)}
    root = ElementTree.Element("testsuites", totals)
    for item, group in groupby(results, key=lambda result: result.item):
        tests = list(group)
        suite = ElementTree.SubElement(root, "testsuite", name=_text(item))
        suite.set("tests", str(len(tests)))
        suite.set("failures", str(sum(not test.passed for test in tests)))
        for test in tests:
            name = _text(test.test) or "is valid"
            case = ElementTree.SubElement(suite, "testcase", classname=_text(item), name=name)
            case.set("file", str(files.get(item) or test.file))
            if not test.passed:
                text = _text("\n".join(test.messages) or "unexpected result")
                failure = ElementTree.SubElement(case, "failure", message=text.split("\n")[0])
                failure.text = text
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _text(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
