"""The configured tiers made ready: models loaded and checked, sessions warmed, costs seeded; rules compiled."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from features.model_state import ModelStatePlan
from features.rule import Rule
from models.buckets import worthwhile_buckets
from models.cost import CostModel
from models.explain import Explainer
from models.frame_cost import FrameCost
from models.manifest import ModelError
from models.recurrent_session import RecurrentSession, open_session
from models.reference import REFERENCE_FILE, Reference, read_reference
from models.repository import ModelEntry, Repository
from models.session import CUDA
from models.trees import TREES_FILE, read_trees
from pipeline.config.model import PipelineConfig
from pipeline.config.sections import StateSection, TierSection
from pipeline.reuse_report import check_report
from pipeline.servings import TierLabel
from pipeline.tier import ImageView, ModelTier, Recurrent, RuleTier, Tier


def open_tiers(config: PipelineConfig, feature_names: Sequence[str]) -> list[Tier]:
    """One tier for each that is configured, best first.

    Raises ValueError or FileNotFoundError naming the model and what does not fit: hash, inputs, provider; or the
    rule and the feature that is not there.
    """
    folder = config.models.folder
    repository = Repository(Path(folder)) if folder else Repository.shipped()
    tiers = [
        _rule(config, spec, feature_names) if spec.rule else _model(config, spec, feature_names, repository)
        for spec in config.tiers
    ]
    _check_alike([tier for tier in tiers if isinstance(tier, ModelTier)])
    return tiers


def open_version(
    config: PipelineConfig, tiers: Sequence[Tier], number: int, model: str, version: str, sha256: str = ""
) -> ModelTier:
    """Another version made ready to answer in the tier of that number, as `open_tiers` would have made it.

    Any thread may call. Raises ModelError when it does not fit, or is not the file of that `sha256`, where one is
    given; FileNotFoundError, ValueError as there.
    """
    first, spec = tiers[number], config.tiers[number]
    if not isinstance(first, ModelTier):
        raise ModelError(f"tier {spec.name}: a rule answers in it, expected a model")
    folder = config.models.folder
    repository = Repository(Path(folder)) if folder else Repository.shipped()
    if sha256 and (found := repository.load(model, version).manifest.sha256) != sha256:
        raise ModelError(f"{model}/{version}: sha256 is {found} here, {sha256} is what was rolled out")
    if first.recurrent is not None or repository.load(model, version).manifest.state is not None:
        raise ModelError(
            f"{model}/{version}: it, or {first.label.model}/{first.label.version} in tier {spec.name}, keeps state, "
            f"which another version cannot go on with: expected it in the configuration, and a restart"
        )
    other = spec.model_copy(update={"model": model, "version": version})
    ready = _model(config, other, tuple(config.features), repository)
    _check_alike([first, ready])
    return ready


def _rule(config: PipelineConfig, spec: TierSection, feature_names: Sequence[str]) -> RuleTier:
    rule = Rule(f"tiers: {spec.name}: rule", spec.rule, feature_names)
    return RuleTier(spec.name, rule, TierLabel(spec.name, None, None, None), _thresholds(config, spec))


def _model(
    config: PipelineConfig, spec: TierSection, feature_names: Sequence[str], repository: Repository
) -> ModelTier:
    entry = repository.load(spec.model, spec.version)
    view = _view(config, entry)
    if view is not None and config.reuse.near_bits >= 0 and spec is config.tiers[0]:
        check_report(config.reuse, entry, view.crop)
    plan = _state_plan(config, spec, entry)
    session = open_session(
        entry, providers=spec.providers, buckets=config.engine.buckets, feature_names=feature_names
    )
    runs_ns = session.warm()
    if session.provider == CUDA:
        # There a batch is padded to a warmed size: one that saves nothing would only hold memory.
        curve = {bucket: median(runs) for bucket, runs in runs_ns.items()}
        kept = {*worthwhile_buckets(curve, max(curve)), max(curve)}
        runs_ns = {bucket: runs for bucket, runs in runs_ns.items() if bucket in kept}
        session.keep(kept)
    kind = CostModel if view is None else FrameCost
    cost = kind(sorted(runs_ns), padded=session.provider == CUDA)
    for bucket, runs in runs_ns.items():
        cost.seed(bucket, runs)
    label = TierLabel(spec.name, spec.model, spec.version, session.provider)
    recurrent = Recurrent(plan, session) if plan is not None and isinstance(session, RecurrentSession) else None
    return ModelTier(
        spec.name,
        session,
        cost,
        label,
        _thresholds(config, spec),
        view,
        entry.manifest.sha256,
        explainer_of(entry) if config.explain.decisions else None,
        reference_of(entry) if config.drift.enabled and spec is config.tiers[0] else None,
        recurrent,
    )


def explainer_of(entry: ModelEntry) -> Explainer:
    """What says why the model scores as it does. Raises ModelError where it has no trees, or too large ones."""
    path = entry.beside(TREES_FILE)
    if path is None:
        raise ModelError(
            f"{entry.path}: no {TREES_FILE} lies beside it, which [explain] needs of the model of every tier: "
            f"expected one that `headrace train fraud` wrote, or explain.decisions = []"
        )
    return Explainer(read_trees(path, len(entry.manifest.inputs)), str(path))


def reference_of(entry: ModelEntry) -> Reference:
    """How features and scores were spread when the model was made. Raises ModelError where nobody wrote it down."""
    path = entry.beside(REFERENCE_FILE)
    if path is None:
        raise ModelError(
            f"{entry.path}: no {REFERENCE_FILE} lies beside it, which [drift] needs of the first tier's model: "
            f"expected one that `headrace train fraud` wrote, or drift.enabled = false"
        )
    return read_reference(path, entry.manifest.inputs)


def _state_plan(config: PipelineConfig, spec: TierSection, entry: ModelEntry) -> ModelStatePlan | None:
    """What the model keeps of which keys, None where it keeps nothing."""
    state, decided = entry.manifest.state, config.catalog.decided
    if state is None:
        if spec.state is not None:
            raise ModelError(f"tiers: {spec.name}.state: {entry.path} keeps none, expected a model with [state]")
        return None
    if config.engine.session != "inline":
        raise ModelError(
            f"{entry.path}: it keeps state from one event of a key to the next, found engine.session = "
            f'"{config.engine.session}", expected "inline": so that no two batches with one key run at once'
        )
    _check_first(config, spec, entry)
    section = spec.state or StateSection()
    key, sha256 = section.key or decided.key, entry.manifest.sha256
    return ModelStatePlan(spec.name, key, decided.schema_.index(key), section.keys_expected, state.size, sha256)


def _check_first(config: PipelineConfig, spec: TierSection, entry: ModelEntry) -> None:
    """Of a key's events a model with state sees all, or it does not know the key."""
    first = config.cascade.first or config.tiers[0].name
    routes = {f"routes: {route.name}": route.tiers[0] for route in config.routes if route.tiers}
    for where, tier in {"tiers": first, **routes}.items():
        if tier != spec.name:
            raise ModelError(
                f"{entry.path}: it keeps state in tier {spec.name}, found {where}: {tier} scores first, expected "
                f"{spec.name}: what another tier answers, it would not remember"
            )


def _view(config: PipelineConfig, entry: ModelEntry) -> ImageView | None:
    """How the model looks at the deciding input's images, if it has such; None where both are about features."""
    manifest, image, topic = entry.manifest, config.catalog.decided.image, config.catalog.decided.topic
    if manifest.image is None or image is None:
        if manifest.image is not None:
            raise ModelError(f"{entry.path}: it takes images, topic {topic!r} has format json")
        if image is not None:
            raise ModelError(f"{entry.path}: it takes features, topic {topic!r} has images")
        return None
    classes, decides = manifest.classes, config.decide.classes
    if decides and set(decides) != set(classes):
        raise ModelError(
            f"{entry.path}: its classes are {', '.join(classes)}, decide.classes has {', '.join(decides)}"
        )
    if not decides and manifest.clean is None:
        raise ModelError(
            f"{entry.path}: no class is clean, so its score is no degree of being bad: "
            f"expected [decide.classes] with a decision for each of {', '.join(classes)}"
        )
    clean = None if manifest.clean is None else classes.index(manifest.clean)
    return ImageView(manifest.image, image.crop, image.pixels_max, classes, clean)


def _check_alike(tiers: Sequence[ModelTier]) -> None:
    """What decisions say of classes is the same whichever tier answers; the sizes of images may differ."""
    views = [(tier.name, tier.view) for tier in tiers if tier.view is not None]
    for name, view in views:
        first_name, first = views[0]
        if (view.classes, view.clean) != (first.classes, first.clean):
            raise ModelError(
                f"tiers: the classes of {name} are {', '.join(view.classes)}, those of {first_name} are "
                f"{', '.join(first.classes)}; expected the same, in the same order, and the same clean one"
            )


def _thresholds(config: PipelineConfig, spec: TierSection) -> Sequence[float]:
    return config.decide.thresholds if spec.thresholds is None else spec.thresholds
