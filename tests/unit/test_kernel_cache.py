"""Machine code is never taken for that of other sources: the cache's folder is named after all of them."""

from pathlib import Path

import numba

from features.kernel import cache_folder, fingerprint, sources


def tree(folder: Path) -> tuple[Path, Path]:
    features, pipeline = folder / "features", folder / "pipeline"
    (pipeline / "wire").mkdir(parents=True)
    features.mkdir()
    (features / "windows.py").write_text("TOTALS = 8")
    (features / "entity.py").write_text("from features.windows import TOTALS")
    (pipeline / "wire" / "scan.py").write_text("from features.kernel import kernel")
    (pipeline / "engine.py").write_text("pass")
    return features, pipeline


def test_a_constant_of_another_file_changes_the_name(tmp_path: Path) -> None:
    features, pipeline = tree(tmp_path)
    found = sources(features, [pipeline])
    assert [path.name for path in found] == ["entity.py", "windows.py", "scan.py"]
    before = fingerprint(found)
    (features / "windows.py").write_text("TOTALS = 9")
    assert fingerprint(found) != before
    (features / "windows.py").write_text("TOTALS = 8")
    assert fingerprint(found) == before


def test_files_without_kernels_do_not_change_it(tmp_path: Path) -> None:
    features, pipeline = tree(tmp_path)
    before = fingerprint(sources(features, [pipeline]))
    (pipeline / "engine.py").write_text("print()")
    assert fingerprint(sources(features, [pipeline])) == before


def test_where_it_lies(tmp_path: Path) -> None:
    beside, own = tmp_path / "__pycache__", tmp_path / "own"
    assert cache_folder("", beside, own) == beside
    assert cache_folder("", Path("/nowhere/x"), own) == own
    assert cache_folder("/given", beside, own) == Path("/given")
    assert Path(numba.config.CACHE_DIR).name.startswith("kernels-")
