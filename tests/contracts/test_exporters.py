"""An exporter is tested by existing."""

from __future__ import annotations

import pytest

from models.exporters import exporters
from search.testing.exporters import Bundles, check_exporter


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"))


@pytest.mark.parametrize("name", exporters)
def test_an_exporter_keeps_its_contract(name: str, bundles: Bundles) -> None:
    check_exporter(name, bundles)
