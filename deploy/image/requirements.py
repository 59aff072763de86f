"""Print what the image installs, one requirement a line: `python requirements.py pyproject.toml slo,cuda`.

The same as the package asks for, but for ONNX Runtime: the wheel with CUDA's provider weighs 270 MB more, so it is
taken only with the extra `cuda`, which brings CUDA's libraries as well.
"""

import sys
import tomllib
from pathlib import Path

CPU, GPU = "onnxruntime", "onnxruntime-gpu"


def name_of(requirement: str) -> str:
    """The name of the package that a requirement is about."""
    return requirement.partition(">")[0].partition("[")[0].strip()


def requirements(project: dict, extras: list[str]) -> list[str]:
    """All of the project's dependencies and those of the extras, with the one ONNX Runtime that serves them."""
    known = project["optional-dependencies"]
    if strangers := [extra for extra in extras if extra not in known]:
        raise SystemExit(f"EXTRAS: no extra {', '.join(strangers)}; there are {', '.join(known)}")
    wanted = [*project["dependencies"], *(needed for extra in extras for needed in known[extra])]
    unwanted = CPU if "cuda" in extras else GPU
    kept = [requirement.partition(";")[0].strip() for requirement in wanted if name_of(requirement) != unwanted]
    return sorted(set(kept))


if __name__ == "__main__":
    found = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
    sys.stdout.write("\n".join(requirements(found, [extra for extra in sys.argv[2].split(",") if extra])) + "\n")
