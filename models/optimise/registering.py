"""A variant that passed the gate, as a version of its model."""

from typing import Any

import numpy as np

from models.manifest import Manifest, Parity, Speed, write_manifest
from models.optimise.gate import GateError
from models.optimise.made import Variant
from models.optimise.measure import Floats, Runnable
from models.optimise.study import Finding, Sample, Study
from models.repository import MANIFEST_FILE, MODEL_FILE, ModelEntry, Repository, sha256_of
from models.train.classifier import confusion_of, machine_name, quality_of
from models.train.evaluate import average_precision, roc_auc


def register_variant(
    repository: Repository, entry: ModelEntry, variant: Variant, finding: Finding, study: Study, sample: Sample
) -> ModelEntry:
    """Write version `<version>-<variant>` of the model; its manifest has the figures and the limits they are within.

    Raises GateError where the gate refused the variant: nothing is written.
    """
    if variant.path is None or finding.refused:
        raise GateError("not registered: " + "; ".join(finding.refused or (f"{variant.name}: {variant.why}",)))
    assert finding.cost is not None
    version = f"{entry.manifest.version}-{variant.name}"
    folder = repository.folder / entry.manifest.name / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(variant.path.read_bytes())
    answers = Runnable(variant.name, variant.path, entry.manifest).answers(sample.rows)
    changed: dict[str, Any] = {
        "version": version,
        "sha256": sha256_of(folder / MODEL_FILE),
        "files": {},
        "quality": _quality(entry.manifest, answers, sample),
        "calibration": None,
        "confusion": {},
        "parity": _parity(finding, study),
        "speed": Speed(
            machine=machine_name(),
            provider="CPUExecutionProvider",
            threads=1,
            batch=finding.cost.batch,
            us_a_row=finding.cost.cpu_us,
            file_bytes=finding.file_bytes,
        ),
    }
    if entry.manifest.image is not None:
        changed["confusion"] = confusion_of(answers, np.asarray(sample.truth, np.int64), entry.manifest.classes)
    write_manifest(folder / MANIFEST_FILE, entry.manifest.model_copy(update=changed))
    return repository.load(entry.manifest.name, version)


def _quality(manifest: Manifest, answers: Floats, sample: Sample) -> dict[str, float]:
    if manifest.image is not None:
        clean = None if manifest.clean is None else manifest.classes.index(manifest.clean)
        return quality_of(answers, np.asarray(sample.truth, np.int64), clean)
    truth, scores = np.asarray(sample.truth, np.bool_), answers.astype(np.float64)
    return {"auc": round(roc_auc(truth, scores), 4), "ap": round(average_precision(truth, scores), 4)}


def _parity(finding: Finding, study: Study) -> Parity:
    likeness, drop, cost, limits = finding.likeness, finding.drop, finding.cost, study.limits
    assert likeness is not None
    assert drop is not None
    assert cost is not None
    return Parity(
        reference=f"{study.model}/{study.version}",
        images=likeness.rows,
        agreement=round(likeness.agreement, 5),
        agreement_min=limits.agreement_min,
        accuracy_drop=round(drop.value, 5),
        accuracy_drop_max=limits.quality_drop_max,
        accuracy_drop_high=round(drop.high, 5),
        apart_max=round(likeness.apart_max, 7),
        rank_correlation=round(likeness.rank_correlation, 5),
        cost_ratio=round(cost.ratio, 4),
        cost_ratio_max=limits.cost_ratio_max,
    )
