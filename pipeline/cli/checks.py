"""What a configuration needs around it: features that compile, models that fit, settings that Kafka takes."""

from pipeline.cli.cluster import missing_topics
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError, Problem


def check_features(config: PipelineConfig) -> str:
    """Plan every feature, importing the functions that are named. Raises ConfigError; returns what there is.

    Of a paned entity that is what a key costs.
    """
    from features.duration import in_words
    from features.paned import PanedPlan
    from pipeline.row_layout import features_of

    try:
        features = features_of(config)
    except ValueError as error:
        raise ConfigError("", [Problem("", str(error))]) from None
    found = [f"{len(features.names)} features, windows over {len(features.entities)} entities"]
    for plan in features.entities:
        if isinstance(plan, PanedPlan):
            width = in_words(plan.ring.width_ms)
            found.append(f"{plan.name} in {plan.ring.panes} panes of {width}, {plan.bytes_a_key} bytes a key")
    return "; ".join(found)


def check_models(config: PipelineConfig) -> str:
    """Load and warm every tier's model against the features. Raises ModelError; returns what runs where."""
    from pipeline.tier import ModelTier
    from pipeline.tiers import open_tiers

    told = []
    for tier in open_tiers(config, tuple(config.features)):
        name, model, version, provider = tier.label
        plan = tier.recurrent.plan if isinstance(tier, ModelTier) and tier.recurrent is not None else None
        kept = f", which keeps {plan.bytes_a_key} bytes of each {plan.key}" if plan is not None else ""
        told.append(f"{name} = {model}/{version} on {provider}{kept}" if model else f"{name} = a rule")
    return ", ".join(told)


def check_kafka_settings(config: PipelineConfig) -> str:
    """Make the clients, as librdkafka checks its settings then. Raises KafkaConfigError naming the setting."""
    from pipeline.kafka.consumer import LaneConsumer
    from pipeline.kafka.producer import LaneProducer
    from pipeline.kafka.transactions import TransactionalProducer
    from pipeline.kafka.wake import Wake

    wake = Wake()
    quiet = {"log_level": "0"}
    try:
        LaneProducer({**config.kafka.plain_producer_settings(), **quiet}, wake).close()
        if config.exactly_once:
            settings = {**config.kafka.producer_settings(), **quiet}
            TransactionalProducer(settings, config.kafka.transactional_id, wake).close()
        LaneConsumer({**config.kafka.consumer_settings(), **quiet}, wake).close(0)
    finally:
        wake.close()
    return "accepted"


def check_checkpoints(config: PipelineConfig) -> str:
    """Open the place for checkpoints. Raises ConfigError that says where it is and why it is none."""
    from pipeline.state.store import CheckpointStore, StoreError

    if not config.checkpoint.url:
        return "none: windows are rebuilt from the topics"
    try:
        CheckpointStore(config.checkpoint.url, config.pipeline.name, config.kafka.common["group.id"], "check")
    except StoreError as error:
        raise ConfigError("", [Problem("checkpoint.url", str(error))]) from None
    return config.checkpoint.url


def check_traces(config: PipelineConfig) -> str:
    """Look for what exports spans. Raises ConfigError where it is not installed; returns what becomes of traces."""
    from pipeline.trace.extra import check_exporter

    check_exporter(config)
    carried = "not carried" if config.trace.propagate == "off" else f"carried as {config.trace.propagate}"
    return f"{carried}, spans {'exported' if config.trace.export else 'not made'}"


def check_cluster(config: PipelineConfig) -> str:
    """Reach a broker and look for every topic. Raises KafkaError, or ConfigError naming the missing topics."""
    missing = missing_topics(config.kafka.admin_settings(), config.topic_names, config.engine.request_ms_max)
    if missing:
        said = f"{config.kafka.bootstrap} has no topic {', '.join(missing)} that it lets us see"
        text = f"{said}; make what is missing with: headrace topics create"
        raise ConfigError("", [Problem("topics", text)])
    return f"{config.kafka.bootstrap} has all {len(config.topic_names)} topics"
