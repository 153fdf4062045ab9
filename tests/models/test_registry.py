import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.registry import Registry, UnknownNameError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of plugins on disk: `shapes` with its registry, and a file for each shape."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from models.registry import Registry\nshapes = Registry('shape', __name__)\n"
    )
    for name in ("circle", "square"):
        (folder / f"{name}.py").write_text(
            f"from shapes import shapes\n@shapes.register('{name}')\nclass Shape: pass\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    yield "shapes"
    for name in [name for name in sys.modules if name.split(".")[0] == "shapes"]:
        del sys.modules[name]


def registry_of(package: str) -> Registry[type]:
    registry = __import__(package).shapes
    assert isinstance(registry, Registry)
    return registry


def test_a_file_is_an_entry(package: str) -> None:
    shapes = registry_of(package)
    assert list(shapes) == ["circle", "square"]
    assert len(shapes) == 2
    assert "circle" in shapes and "line" not in shapes
    assert shapes["square"].__name__ == "Shape"


def test_an_unknown_name_lists_the_known(package: str) -> None:
    shapes = registry_of(package)
    with pytest.raises(UnknownNameError) as raised:
        shapes["line"]
    assert str(raised.value) == "unknown shape 'line', known are circle, square"
    with pytest.raises(UnknownNameError):
        shapes[["line"]]  # type: ignore[index]
    assert shapes.get("line") is None


def test_a_name_is_registered_once() -> None:
    registry: Registry[object] = Registry("shape", "models")
    registry.register("circle")(object())
    with pytest.raises(ValueError, match="shape 'circle' is registered twice"):
        registry.register("circle")(object())


def test_a_broken_file_is_reported_every_time(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "triangle.py").write_text("import nothing_of_this_name\n")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
            len(registry_of(package))


def test_threads_see_all_entries_or_wait(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "aaa.py").write_text("import time\ntime.sleep(0.3)\n")
    shapes = registry_of(package)
    seen: list[list[str]] = []
    threads = [threading.Thread(target=lambda: seen.append(list(shapes))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [["circle", "square"]] * 4
